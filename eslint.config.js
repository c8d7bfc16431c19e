import js from '@eslint/js'
import globals from 'globals'
import { defineConfig, globalIgnores } from 'eslint/config'
import tseslint from 'typescript-eslint'

/** Dependencies point one way: each layer with the layers that it must not know. */
const layers = {
  scheduling: ['native', 'engine', 'models', 'plan', 'weights', 'text', 'openai', 'server', 'cli'],
  plan: ['native', 'engine', 'models', 'scheduling', 'weights', 'text', 'openai', 'server', 'cli'],
  models: ['native', 'engine', 'scheduling', 'weights', 'text', 'openai', 'server', 'cli'],
  weights: ['native', 'engine', 'scheduling', 'text', 'openai', 'server', 'cli'],
  text: ['native', 'engine', 'scheduling', 'plan', 'models', 'openai', 'server', 'cli'],
  structured: ['native', 'engine', 'models', 'plan', 'weights', 'text', 'openai', 'server', 'cli'],
  native: ['engine', 'text', 'openai', 'server', 'cli'],
  engine: ['openai', 'server', 'cli'],
  openai: ['server', 'cli'],
  server: ['cli'],
  ai: ['server', 'cli'],
  worker: ['server', 'cli'],
  bench: ['engine', 'server', 'cli'],
}

const boundaries = Object.entries(layers).map(([layer, forbidden]) => ({
  files: [`lib/${layer}/**/*.ts`],
  rules: {
    '@typescript-eslint/no-restricted-imports': [
      'error',
      {
        patterns: [
          {
            regex: `^(\\.\\./)+(${forbidden.join('|')})/`,
            allowTypeImports: true,
            message: `lib/${layer} must not depend on it: docs/architecture.md has the layers.`,
          },
        ],
      },
    ],
  },
}))

/** An underscore says that a name is there for its place only. */
const unusedVariables = {
  argsIgnorePattern: '^_',
  varsIgnorePattern: '^_',
  destructuredArrayIgnorePattern: '^_',
}

export default defineConfig(
  globalIgnores(['dist', 'build*', 'coverage', 'models', 'prebuilds', 'test/fixtures']),
  js.configs.recommended,
  {
    files: ['**/*.{js,mjs,cjs}'],
    languageOptions: { globals: globals.nodeBuiltin },
    rules: { 'no-unused-vars': ['error', unusedVariables] },
  },
  { files: ['lib/server/dashboard/page.js'], languageOptions: { globals: globals.browser } },
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.strictTypeChecked, tseslint.configs.stylisticTypeChecked],
    languageOptions: {
      parserOptions: { project: 'tsconfig.test.json', tsconfigRootDir: import.meta.dirname },
    },
    rules: {
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
      // An index below a length that was just checked needs a `!` under noUncheckedIndexedAccess.
      '@typescript-eslint/no-non-null-assertion': 'off',
      '@typescript-eslint/no-unnecessary-condition': [
        'error',
        { allowConstantLoopConditions: 'only-allowed-literals' },
      ],
      '@typescript-eslint/no-unused-vars': ['error', unusedVariables],
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
      '@typescript-eslint/switch-exhaustiveness-check': [
        'error',
        { considerDefaultExhaustiveForUnions: true },
      ],
    },
  },
  {
    files: ['lib/**/*.ts'],
    rules: {
      'max-lines': ['error', 450],
      'max-lines-per-function': ['error', { max: 60, skipBlankLines: true, skipComments: true }],
      'no-restricted-exports': ['error', { restrictDefaultExports: { direct: true, named: true } }],
    },
  },
  ...boundaries,
)
