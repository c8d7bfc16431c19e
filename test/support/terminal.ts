import { vi } from 'vitest'

/** Gives what is written to standard error while it seems to be a terminal, or not. */
export async function stderrOf(use: () => unknown, { isTTY }: { isTTY: boolean }): Promise<string> {
  const written: string[] = []
  const write = vi.spyOn(process.stderr, 'write')
  write.mockImplementation((text) => written.push(String(text)) > 0)
  const before = Object.getOwnPropertyDescriptor(process.stderr, 'isTTY')
  Object.defineProperty(process.stderr, 'isTTY', { value: isTTY, configurable: true })
  try {
    await use()
  } finally {
    write.mockRestore()
    if (before) Object.defineProperty(process.stderr, 'isTTY', before)
    else Reflect.deleteProperty(process.stderr, 'isTTY')
  }
  return written.join('')
}
