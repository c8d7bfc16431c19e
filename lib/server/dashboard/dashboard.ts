import { readFile } from 'node:fs/promises'
import { setTimeout } from 'node:timers/promises'
import { Feed, FRAME_INTERVAL, type WatchedEngine } from './feed.js'

/**
 * The dashboard's page: one document with its style and its script in it, that loads nothing else.
 *
 * @example
 * response.end(await dashboardPage())
 */
export async function dashboardPage(): Promise<string> {
  const [page, style, script] = await Promise.all([
    asset('page.html'),
    asset('page.css'),
    asset('page.js'),
  ])
  return page.replace('<!-- style -->', () => style).replace('<!-- script -->', () => script)
}

/**
 * What the page watches, as server-sent events: a greeting, then four frames a second for as long as
 * they are read and `watching` says so. A frame tells what changed since the one that was read before,
 * so that a slow reader sees fewer, and misses nothing.
 */
export async function* dashboardEvents(
  engine: WatchedEngine,
  watching: () => boolean,
): AsyncGenerator<string, void, undefined> {
  const feed = new Feed(engine)
  try {
    yield event('greeting', feed.greeting())
    while (watching()) {
      yield event('frame', feed.frame())
      await setTimeout(FRAME_INTERVAL, undefined, { ref: false })
    }
  } finally {
    feed.close()
  }
}

function event(name: string, data: object): string {
  return `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`
}

function asset(name: string): Promise<string> {
  return readFile(new URL(name, import.meta.url), 'utf8')
}
