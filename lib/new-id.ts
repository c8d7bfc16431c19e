/** A new id: 32 hexadecimal digits behind a prefix such as `msg_`. */
export function newId(prefix: string): string {
  return prefix + crypto.randomUUID().replaceAll('-', '')
}
