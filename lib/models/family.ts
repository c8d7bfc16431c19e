import type { PlanBuilder } from '../plan/builder.js'
import type { ModelConfig } from './config.js'

/** How a family's config.json differs in its names from Llama's, whose names all others read. */
export interface FieldNames {
  /** What the family calls a field, the first that the file has; null: it has no such field. */
  readonly names?: Readonly<Record<string, string | readonly string[] | null>>
  /** What a field is that the file leaves out. */
  readonly defaults?: Readonly<Record<string, unknown>>
}

/** An architecture: how its config.json is read, and how it is recorded as a plan. */
export interface ModelFamily extends FieldNames {
  /** The name that people know. */
  readonly title: string
  /** As config.json's `architectures` names it. */
  readonly architectures: readonly string[]
  /** Records one model on a builder. */
  readonly record: (g: PlanBuilder, config: ModelConfig) => void
}
