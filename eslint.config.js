import js from '@eslint/js'
import globals from 'globals'
import { defineConfig, globalIgnores } from 'eslint/config'
import tseslint from 'typescript-eslint'

/** Dependencies point one way: each layer of lib/ with the layers that it may know. Types may come from any. */
const lowest = ['plan', 'models', 'weights', 'scheduling', 'native', 'text', 'structured']
const layers = {
  plan: [],
  models: ['plan'],
  weights: ['models', 'plan'],
  scheduling: [],
  native: ['plan', 'scheduling'],
  text: ['weights'],
  structured: [],
  engine: lowest,
  openai: [...lowest, 'engine'],
  anthropic: [...lowest, 'engine', 'openai'],
  server: [...lowest, 'engine', 'openai', 'anthropic'],
  ai: [...lowest, 'engine', 'openai'],
  worker: [...lowest, 'engine', 'openai'],
  bench: [],
  cli: [...lowest, 'engine', 'openai', 'anthropic', 'server', 'ai', 'worker', 'bench'],
}

const forbiddenIn = (layer, known) =>
  Object.keys(layers).filter((other) => other !== layer && !known.includes(other))

const boundaries = Object.entries(layers).map(([layer, known]) => ({
  files: [`lib/${layer}/**/*.ts`],
  rules: {
    '@typescript-eslint/no-restricted-imports': [
      'error',
      {
        patterns: [
          {
            regex: `^(\\.\\./)+(${forbiddenIn(layer, known).join('|') || '$'})/`,
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
