import type { Registry } from 'prom-client'

/** What all series of a model share. */
export interface Series {
  readonly registers: Registry[]
  readonly labels: { readonly model_name: string; readonly engine: string }
}
