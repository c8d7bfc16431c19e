import { existsSync } from 'node:fs'
import { chromium, type Browser } from 'playwright-core'

const PATHS = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome']

/** A browser of the machine, by CHROMIUM or where systems put it; null where there is none. */
export const CHROMIUM =
  [process.env.CHROMIUM ?? '', ...PATHS].find((path) => existsSync(path)) ?? null

export function openBrowser(): Promise<Browser> {
  if (CHROMIUM === null) throw new Error('there is no Chromium: apt-get install chromium')
  return chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox'] })
}
