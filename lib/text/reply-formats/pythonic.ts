import { readJsonCalls } from './json-calls.js'
import { readPythonCalls } from './python-calls.js'
import type { CallFormat } from './tool-call.js'

/** LFM2: a list of calls in Python, or JSON if it was told so. */
export const LFM2: CallFormat = {
  shownBy: (template) => /<\|tool_(?:call|list)_start\|>/.test(template),
  marks: [{ open: '<|tool_call_start|>', close: '<|tool_call_end|>' }],
  special: true,
  read: (text) => readPythonCalls(text) ?? readJsonCalls(text),
}

/** OLMo 3: a call on each line. */
export const OLMO3: CallFormat = {
  shownBy: (template) => template.includes('<function_calls>'),
  marks: [{ open: '<function_calls>', close: '</function_calls>' }],
  special: true,
  read: readPythonCalls,
}

/** Llama 3.2 and others, by the example that their template gives: the whole reply is a list of calls. */
export const PYTHON_LIST: CallFormat = {
  shownBy: (template) => template.includes('[func_name1('),
  marks: [],
  special: false,
  bare: /^\s*(?:$|\[\s*(?:$|[A-Za-z_][\w.-]*\s*(?:$|(\())))/,
  read: readPythonCalls,
}
