import type OpenAI from 'openai'
import { z } from 'zod'

// The shapes of OpenAI's answers, written anew. Each is checked twice: `as<T>()` holds it to the type that
// OpenAI publishes, when this file is compiled, and `parse` holds an answer to it, unknown fields included.

/** A schema whose answers are OpenAI's `T`. */
const as =
  <T>() =>
  <S extends z.ZodType<T>>(schema: S): S =>
    schema

const count = z.number().int().nonnegative()
const logprob = z.number().max(0)
/** vLLM's further fields are named one by one. */
const stopReason = { stop_reason: z.union([z.string(), z.number()]).nullable().optional() }

export const errorBody = z.strictObject({
  error: z.strictObject({
    message: z.string().min(1),
    type: z.enum([
      ...['invalid_request_error', 'authentication_error', 'rate_limit_error', 'server_error'],
    ] as [string, ...string[]]),
    param: z.string().nullable(),
    code: z.string().nullable(),
  }),
})

export const model = as<OpenAI.Model>()(
  z.strictObject({
    id: z.string(),
    object: z.literal('model'),
    created: count,
    owned_by: z.string(),
    // vLLM's
    root: z.string(),
    parent: z.null(),
    max_model_len: count,
  }),
)
export const models = z.strictObject({ object: z.literal('list'), data: z.array(model).min(1) })

const usage = as<OpenAI.CompletionUsage>()(
  z
    .strictObject({
      prompt_tokens: count,
      completion_tokens: count,
      total_tokens: count,
      prompt_tokens_details: z.strictObject({ cached_tokens: count }),
    })
    .refine((u) => u.total_tokens === u.prompt_tokens + u.completion_tokens),
)

const completionChoice = (finish: z.ZodType<'stop' | 'length' | null>) =>
  z.strictObject({
    index: count,
    text: z.string(),
    logprobs: z
      .strictObject({
        tokens: z.array(z.string()),
        token_logprobs: z.array(logprob.nullable()),
        top_logprobs: z.array(z.record(z.string(), logprob).nullable()),
        text_offset: z.array(count),
      })
      .nullable(),
    finish_reason: finish,
    ...stopReason,
    prompt_logprobs: z.array(z.unknown()).nullable().optional(),
  })
const completionHead = {
  id: z.string().startsWith('cmpl-'),
  object: z.literal('text_completion'),
  created: count,
  model: z.string(),
}
const ended = z.enum(['stop', 'length'])

export const completion = as<Omit<OpenAI.Completion, 'choices'>>()(
  z.strictObject({ ...completionHead, choices: z.array(completionChoice(ended)).min(1), usage }),
)
export const completionChunk = z.strictObject({
  ...completionHead,
  choices: z.array(completionChoice(ended.nullable())),
  usage: usage.nullable().optional(),
})

const tokenLogprob = {
  token: z.string(),
  logprob,
  bytes: z.array(z.number().int().min(0).max(255)),
}
const chatLogprobs = z.strictObject({
  content: z.array(
    z.strictObject({ ...tokenLogprob, top_logprobs: z.array(z.strictObject(tokenLogprob)) }),
  ),
  refusal: z.null(),
})
const call = {
  id: z.string().startsWith('call_'),
  type: z.literal('function'),
  function: z.strictObject({ name: z.string(), arguments: z.string() }),
}
const chatEnd = z.enum(['stop', 'length', 'tool_calls'])
const chatHead = { id: z.string().startsWith('chatcmpl-'), created: count, model: z.string() }

export const chat = as<OpenAI.ChatCompletion>()(
  z.strictObject({
    ...chatHead,
    object: z.literal('chat.completion'),
    choices: z
      .array(
        z.strictObject({
          index: count,
          message: z.strictObject({
            role: z.literal('assistant'),
            content: z.string().nullable(),
            refusal: z.null(),
            tool_calls: z.array(z.strictObject(call)).min(1).optional(),
          }),
          logprobs: chatLogprobs.nullable(),
          finish_reason: chatEnd,
          ...stopReason,
        }),
      )
      .min(1),
    usage,
  }),
)
export const chatChunk = as<OpenAI.ChatCompletionChunk>()(
  z.strictObject({
    ...chatHead,
    object: z.literal('chat.completion.chunk'),
    choices: z.array(
      z.strictObject({
        index: count,
        delta: z.strictObject({
          role: z.literal('assistant').optional(),
          content: z.string().optional(),
          tool_calls: z.array(z.strictObject({ index: count, ...call })).optional(),
        }),
        logprobs: chatLogprobs.nullable(),
        finish_reason: chatEnd.nullable(),
        ...stopReason,
      }),
    ),
    usage: usage.nullable().optional(),
  }),
)

export const embeddings = as<OpenAI.CreateEmbeddingResponse>()(
  z.strictObject({
    object: z.literal('list'),
    data: z
      .array(
        z.strictObject({
          object: z.literal('embedding'),
          index: count,
          embedding: z.array(z.number()).min(1),
        }),
      )
      .min(1),
    model: z.string(),
    usage: z.strictObject({ prompt_tokens: count, total_tokens: count }),
  }),
)

export const file = as<OpenAI.FileObject>()(
  z.strictObject({
    id: z.string(),
    object: z.literal('file'),
    bytes: count,
    created_at: count,
    filename: z.string(),
    purpose: z.enum(['batch', 'batch_output']),
    status: z.literal('processed'),
  }),
)
const page = { first_id: z.string().nullable(), last_id: z.string().nullable() }
const listOf = <T extends z.ZodType>(item: T) =>
  z.strictObject({ object: z.literal('list'), data: z.array(item), ...page, has_more: z.boolean() })
export const files = listOf(file)
export const fileDeleted = as<OpenAI.FileDeleted>()(
  z.strictObject({ id: z.string(), object: z.literal('file'), deleted: z.boolean() }),
)

export const batch = z.strictObject({
  id: z.string(),
  object: z.literal('batch'),
  endpoint: z.string(),
  input_file_id: z.string(),
  completion_window: z.literal('24h'),
  created_at: count,
  expires_at: count,
  metadata: z.record(z.string(), z.string()).nullable(),
  status: z.enum([
    ...(['validating', 'failed', 'in_progress', 'finalizing', 'completed'] as const),
    ...(['expired', 'cancelling', 'cancelled'] as const),
  ]),
  request_counts: z.strictObject({ total: count, completed: count, failed: count }),
  output_file_id: z.string().nullable(),
  error_file_id: z.null(),
  errors: z
    .strictObject({ object: z.literal('list'), data: z.array(z.looseObject({})) })
    .nullable(),
  in_progress_at: count.nullable(),
  completed_at: count.nullable(),
})
export const batches = listOf(batch)

const outputText = z.strictObject({
  type: z.literal('output_text'),
  text: z.string(),
  annotations: z.array(z.never()),
  logprobs: chatLogprobs.shape.content.optional(),
})
const itemStatus = z.enum(['in_progress', 'completed', 'incomplete'])
const message = as<OpenAI.Responses.ResponseOutputMessage>()(
  z.strictObject({
    id: z.string().startsWith('msg_'),
    type: z.literal('message'),
    role: z.literal('assistant'),
    status: itemStatus,
    content: z.array(outputText),
  }),
)
const functionCall = as<OpenAI.Responses.ResponseFunctionToolCall>()(
  z.strictObject({
    id: z.string().startsWith('fc_'),
    type: z.literal('function_call'),
    call_id: z.string().startsWith('call_'),
    name: z.string(),
    arguments: z.string(),
    status: itemStatus,
  }),
)
const item = z.union([message, functionCall])
const functionTool = z.strictObject({
  type: z.literal('function'),
  name: z.string(),
  description: z.string().nullable(),
  parameters: z.record(z.string(), z.unknown()).nullable(),
  strict: z.boolean().nullable(),
})
export const response = as<Omit<OpenAI.Responses.Response, 'output_text'>>()(
  z.strictObject({
    id: z.string().startsWith('resp_'),
    object: z.literal('response'),
    created_at: count,
    completed_at: count.nullable(),
    status: z.enum(['in_progress', 'completed', 'incomplete', 'failed']),
    error: z.strictObject({ code: z.literal('server_error'), message: z.string() }).nullable(),
    incomplete_details: z.strictObject({ reason: z.literal('max_output_tokens') }).nullable(),
    instructions: z.string().nullable(),
    max_output_tokens: count.nullable(),
    metadata: z.record(z.string(), z.string()),
    model: z.string(),
    output: z.array(item),
    parallel_tool_calls: z.boolean(),
    previous_response_id: z.string().nullable(),
    reasoning: z.strictObject({ effort: z.null(), summary: z.null() }),
    store: z.boolean(),
    temperature: z.number(),
    text: z.strictObject({ format: z.strictObject({ type: z.literal('text') }) }),
    tool_choice: z.enum(['none', 'auto', 'required']),
    tools: z.array(functionTool),
    top_logprobs: count,
    top_p: z.number(),
    truncation: z.literal('disabled'),
    background: z.literal(false),
    usage: z
      .strictObject({
        input_tokens: count,
        input_tokens_details: z.strictObject({ cached_tokens: count, cache_write_tokens: count }),
        output_tokens: count,
        output_tokens_details: z.strictObject({ reasoning_tokens: count }),
        total_tokens: count,
      })
      .nullable()
      .transform((given) => given ?? undefined),
  }),
)
export const inputItems = listOf(z.looseObject({ id: z.string(), type: z.string() }))
export const responseDeleted = z.strictObject({
  id: z.string(),
  object: z.literal('response'),
  deleted: z.literal(true),
})

const numbered = { sequence_number: count }
const placed = { ...numbered, item_id: z.string(), output_index: count }
const parted = { ...placed, content_index: count }
const whole = <T extends string>(type: T) =>
  z.strictObject({ type: z.literal(type), response, ...numbered })
const scored = { logprobs: chatLogprobs.shape.content }

export const responseEvent = z.discriminatedUnion('type', [
  whole('response.created'),
  whole('response.in_progress'),
  whole('response.completed'),
  whole('response.incomplete'),
  as<OpenAI.Responses.ResponseOutputItemAddedEvent>()(
    z.strictObject({
      type: z.literal('response.output_item.added'),
      ...{ ...numbered, output_index: count, item },
    }),
  ),
  as<OpenAI.Responses.ResponseOutputItemDoneEvent>()(
    z.strictObject({
      type: z.literal('response.output_item.done'),
      ...{ ...numbered, output_index: count, item },
    }),
  ),
  as<OpenAI.Responses.ResponseContentPartAddedEvent>()(
    z.strictObject({
      type: z.literal('response.content_part.added'),
      ...{ ...parted, part: outputText },
    }),
  ),
  as<OpenAI.Responses.ResponseContentPartDoneEvent>()(
    z.strictObject({
      type: z.literal('response.content_part.done'),
      ...{ ...parted, part: outputText },
    }),
  ),
  as<OpenAI.Responses.ResponseTextDeltaEvent>()(
    z.strictObject({
      type: z.literal('response.output_text.delta'),
      ...{ ...parted, ...scored, delta: z.string().min(1) },
    }),
  ),
  as<OpenAI.Responses.ResponseTextDoneEvent>()(
    z.strictObject({
      type: z.literal('response.output_text.done'),
      ...{ ...parted, ...scored, text: z.string() },
    }),
  ),
  as<OpenAI.Responses.ResponseFunctionCallArgumentsDeltaEvent>()(
    z.strictObject({
      type: z.literal('response.function_call_arguments.delta'),
      ...{ ...placed, delta: z.string() },
    }),
  ),
  as<OpenAI.Responses.ResponseFunctionCallArgumentsDoneEvent>()(
    z.strictObject({
      type: z.literal('response.function_call_arguments.done'),
      ...{ ...placed, name: z.string(), arguments: z.string() },
    }),
  ),
])
