// The dashboard's script: reads the feed, keeps two minutes of it, and draws what changed.
const element = (id) => document.getElementById(id)
const HISTORY = 480 // frames
const LEAST_SHOWN = 40
const count = new Intl.NumberFormat('en')
const decimal = (value, digits = 1) => (value === null ? '–' : value.toFixed(digits))
const headers = () =>
  element('key').value ? { authorization: `Bearer ${element('key').value}` } : {}

/* Numbers over time */

/** Each tile: its name, its unit, its value of a frame, and a line about it. */
const TILES = [
  {
    id: 'tokens',
    name: 'Tokens drawn',
    unit: '/s',
    value: ({ rates }) => rates.generatedTokens,
    show: (value) => count.format(Math.round(value ?? 0)),
    detail: ({ stats }) => `${count.format(stats.generatedTokens)} in all`,
  },
  {
    id: 'prompts',
    name: 'Prompt tokens computed',
    unit: '/s',
    value: ({ rates }) => rates.promptTokens,
    show: (value) => count.format(Math.round(value ?? 0)),
    detail: ({ stats }) => `${count.format(stats.promptTokens)} in all`,
  },
  {
    id: 'running',
    name: 'Running',
    unit: '',
    value: ({ stats }) => stats.running,
    show: (value) => count.format(value ?? 0),
    detail: ({ stats }) =>
      `${count.format(stats.waiting)} waiting, ${count.format(stats.swapped)} swapped out`,
  },
  {
    id: 'ttft',
    name: 'Time to first token',
    unit: 'ms',
    value: ({ latency }) => latency.ttft,
    show: (value) => decimal(value, 0),
    detail: () => 'mean of ten seconds',
  },
  {
    id: 'itl',
    name: 'Between tokens',
    unit: 'ms',
    value: ({ latency }) => latency.itl,
    show: (value) => decimal(value),
    detail: () => 'mean of ten seconds',
  },
  {
    id: 'cache',
    name: 'Cache in use',
    unit: '%',
    value: ({ stats }) => stats.cacheUsage * 100,
    show: (value) => decimal(value, 0),
    detail: ({ stats }) =>
      `${count.format(stats.usedBlocks)} of ${count.format(stats.totalBlocks)} blocks`,
  },
  {
    id: 'hits',
    name: 'Prefix hits',
    unit: '%',
    value: ({ stats }) =>
      stats.prefixCacheQueries ? (100 * stats.prefixCacheHits) / stats.prefixCacheQueries : 0,
    show: (value) => decimal(value, 0),
    detail: ({ stats }) => `${count.format(stats.prefixCacheHits)} tokens found`,
  },
  {
    id: 'preemptions',
    name: 'Preemptions',
    unit: '',
    value: ({ stats }) => stats.preemptions,
    show: (value) => count.format(value ?? 0),
    detail: ({ stats }) => `${count.format(stats.swapOuts)} by swapping`,
  },
]

for (const tile of TILES) {
  const article = document.createElement('article')
  article.className = 'tile'
  article.innerHTML =
    `<p class="name">${tile.name}</p><p class="value"><span id="${tile.id}">–</span><small>${tile.unit}</small></p>` +
    '<p class="detail"></p><svg viewBox="0 0 100 30" preserveAspectRatio="none" aria-hidden="true"><polygon/><polyline/></svg>'
  element('tiles').append(article)
  tile.parts = {
    value: article.querySelector('.value span'),
    detail: article.querySelector('.detail'),
    line: article.querySelector('polyline'),
    area: article.querySelector('polygon'),
  }
  tile.history = []
}

function drawTiles(frame) {
  for (const tile of TILES) {
    const value = tile.value(frame)
    tile.history.push(value ?? 0)
    if (tile.history.length > HISTORY) tile.history.shift()
    setText(tile.parts.value, tile.show(value))
    setText(tile.parts.detail, tile.detail(frame))
    const top = Math.max(1e-9, ...tile.history) * 1.08
    const shown = Math.max(LEAST_SHOWN, tile.history.length)
    const x = (i) => ((shown - tile.history.length + i) / (shown - 1)) * 100
    const points = tile.history
      .map((value, i) => `${x(i).toFixed(2)},${(29 - (value / top) * 28).toFixed(2)}`)
      .join(' ')
    tile.parts.line.setAttribute('points', points)
    tile.parts.area.setAttribute('points', `${x(0)},30 ${points} 100,30`)
  }
}

function setText(node, text) {
  if (node.textContent !== text) node.textContent = text
}

/* Block map */

const map = { canvas: element('map'), cells: [], columns: 1, size: 12, blocks: 0 }

/** Neighbouring numbers get colours far apart. */
const colourOf = (owner) => `hsl(${(owner * 137.508 + 155) % 360} 46% ${style('--lightness')})`
const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name)

function layOutMap() {
  const width = map.canvas.parentElement.clientWidth
  if (width === 0 || map.blocks === 0) return
  const wanted = Math.sqrt((width * 300) / map.blocks)
  map.size = Math.max(5, Math.min(20, Math.floor(wanted)))
  map.columns = Math.max(1, Math.floor(width / map.size))
  const height = Math.ceil(map.blocks / map.columns) * map.size
  const scale = devicePixelRatio
  map.canvas.width = Math.round(width * scale)
  map.canvas.height = Math.round(height * scale)
  map.canvas.style.height = `${height}px`
  map.canvas.getContext('2d').setTransform(scale, 0, 0, scale, 0, 0)
  for (let block = 1; block <= map.blocks; block++) drawBlock(block)
}

function drawBlock(block) {
  const { canvas, cells, columns, size } = map
  const [owner, owners] = cells[block] ?? [-1, 0]
  const context = canvas.getContext('2d')
  const gap = size > 8 ? 2 : 1
  const x = ((block - 1) % columns) * size
  const y = Math.floor((block - 1) / columns) * size
  const side = size - gap
  context.clearRect(x, y, size, size)
  context.fillStyle =
    owners > 0 ? colourOf(Math.max(0, owner)) : style(owners < 0 ? '--cached' : '--cell')
  context.beginPath()
  context.roundRect(x, y, side, side, Math.min(4, side / 3.5))
  context.fill()
  if (owners < 2) return
  context.fillStyle = style('--card')
  context.beginPath()
  context.arc(x + side / 2, y + side / 2, Math.max(1, side / 5), 0, 2 * Math.PI)
  context.fill()
}

function drawCells(cells, stats) {
  for (const [block, owner, owners] of cells) {
    map.cells[block] = [owner, owners]
    drawBlock(block)
  }
  const free = stats.totalBlocks - stats.usedBlocks - stats.cachedBlocks
  const shared = map.cells.filter((cell) => cell && cell[1] > 1).length
  const parts = [`${count.format(stats.usedBlocks)} used`, `${count.format(shared)} shared`]
  parts.push(`${count.format(stats.cachedBlocks)} cached`, `${count.format(free)} free`)
  setText(element('block-summary'), parts.join(' · '))
}

map.canvas.addEventListener('pointermove', ({ offsetX, offsetY }) => {
  const column = Math.floor(offsetX / map.size)
  const block = Math.floor(offsetY / map.size) * map.columns + column + 1
  const tooltip = element('tooltip')
  tooltip.hidden = column >= map.columns || block > map.blocks
  if (tooltip.hidden) return
  const [owner, owners] = map.cells[block] ?? [-1, 0]
  const owned = owners === 1 ? `request ${owner}` : `${owners} owners, one is request ${owner}`
  setText(tooltip, `Block ${block}: ${owners > 0 ? owned : owners < 0 ? 'cached' : 'free'}`)
  const right = map.canvas.offsetLeft + map.canvas.clientWidth - tooltip.clientWidth
  tooltip.style.left = `${Math.min(map.canvas.offsetLeft + offsetX + 14, right)}px`
  tooltip.style.top = `${map.canvas.offsetTop + offsetY + 14}px`
})
map.canvas.addEventListener('pointerleave', () => (element('tooltip').hidden = true))
addEventListener('resize', layOutMap)
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', layOutMap)

/* Requests */

const rows = new Map()

function drawRequests(requests, stats) {
  for (const [id, row] of rows) {
    if (requests.some(({ requestId }) => requestId === id)) continue
    row.remove()
    rows.delete(id)
  }
  for (const request of requests) drawRequest(request)
  element('no-requests').hidden = requests.length > 0
  const more = stats.running + stats.waiting + stats.swapped - requests.length
  setText(element('request-summary'), more > 0 ? `and ${count.format(more)} more` : '')
}

function drawRequest(request) {
  const { requestId, number, state, adapter, text, promptTokens, generatedTokens, age } = request
  let row = rows.get(requestId)
  if (!row) {
    row = document.createElement('li')
    row.innerHTML =
      '<i></i><span class="id"></span><span class="text"><bdi></bdi></span><span class="numbers"></span>'
    row.querySelector('i').style.background = colourOf(number)
    rows.set(requestId, row)
    element('requests').append(row)
  }
  row.dataset.state = state
  setText(row.querySelector('.id'), requestId)
  setText(row.querySelector('bdi'), (text || state).replace(/\s+/g, ' '))
  setText(
    row.querySelector('.numbers'),
    `${adapter === null ? '' : `${adapter} · `}${promptTokens} + ${generatedTokens} · ${age.toFixed(1)} s`,
  )
}

/* The feed */

const recent = [] // frames of the last ten seconds

/** Takes a frame in; gives rates of the last two seconds and mean waits of the last ten. */
function meansOf(frame) {
  recent.push(frame)
  while (recent[0].time < frame.time - 10_000) recent.shift()
  const before = recent.find(({ time }) => time >= frame.time - 2_000)
  const seconds = (frame.time - before.time) / 1000
  const rate = (name) => (seconds > 0 ? (frame.stats[name] - before.stats[name]) / seconds : 0)
  const wait = (name) => {
    const [now, then] = [frame.latency[name], recent[0].latency[name]]
    const came = now.count - then.count
    return came > 0 ? ((now.seconds - then.seconds) / came) * 1000 : null
  }
  return {
    rates: { generatedTokens: rate('generatedTokens'), promptTokens: rate('promptTokens') },
    latency: { ttft: wait('firstToken'), itl: wait('nextToken') },
  }
}

const handlers = {
  greeting({ model, device, blockSize, blocks, maxModelLen }) {
    setText(element('model'), model)
    setText(
      element('device'),
      `${device} · blocks of ${blockSize} tokens · context ${count.format(maxModelLen)}`,
    )
    document.title = `${model} · Octavo`
    recent.length = 0
    Object.assign(map, { blocks, cells: [] })
    layOutMap()
  },
  frame(frame) {
    drawTiles({ ...frame, ...meansOf(frame) })
    drawCells(frame.cells, frame.stats)
    drawRequests(frame.requests, frame.stats)
  },
}

function setStatus(state, text) {
  element('status').dataset.state = state
  setText(element('status'), text)
}

/** Reads server-sent events of a response, each as its name and its data. */
async function* eventsOf(response) {
  let rest = ''
  for await (const piece of response.body.pipeThrough(new TextDecoderStream())) {
    const events = (rest + piece).split('\n\n')
    rest = events.pop()
    for (const event of events) {
      const fields = Object.fromEntries(event.split('\n').map((line) => line.split(/: (.*)/s)))
      yield { name: fields.event ?? 'message', data: fields.data }
    }
  }
}

async function watch() {
  for (;;) {
    try {
      const response = await fetch('dashboard/events', { headers: headers() })
      if (!response.ok) throw new Error(`the server answers ${response.status}`)
      setStatus('live', 'live')
      for await (const { name, data } of eventsOf(response)) handlers[name]?.(JSON.parse(data))
      setStatus('lost', 'disconnected')
    } catch (error) {
      setStatus('lost', error.message)
    }
    await new Promise((resolve) => setTimeout(resolve, 2000))
  }
}
watch()

/* Tabs */

for (const tab of document.querySelectorAll('[role=tab]')) {
  tab.addEventListener('click', () => {
    for (const other of document.querySelectorAll('[role=tab]')) {
      const chosen = other === tab
      other.setAttribute('aria-selected', String(chosen))
      element(other.getAttribute('aria-controls')).hidden = !chosen
    }
    layOutMap()
  })
}

/* Playground */

const messages = []
const nothingSaid = element('turns').querySelector('.empty')

function addTurn(kind) {
  nothingSaid.remove()
  const turn = document.createElement('div')
  turn.className = `turn ${kind}`
  element('turns').append(turn)
  return turn
}

async function ask(turn) {
  const response = await fetch('v1/chat/completions', {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers() },
    body: JSON.stringify({
      messages,
      stream: true,
      temperature: Number(element('temperature').value),
      max_tokens: Number(element('max-tokens').value),
    }),
  })
  if (!response.ok) throw new Error((await response.json()).error.message)
  let pieces = 0
  for await (const { data } of eventsOf(response)) {
    if (data === '[DONE]') break
    const chunk = JSON.parse(data)
    if (chunk.error) throw new Error(chunk.error.message)
    const piece = chunk.choices[0]?.delta.content ?? ''
    if (piece) pieces++
    turn.append(piece)
    turn.scrollIntoView({ block: 'end' })
  }
  return pieces
}

element('chat').addEventListener('submit', async (event) => {
  event.preventDefault()
  const content = element('message').value.trim()
  if (!content) return
  element('message').value = ''
  element('send').disabled = true
  messages.push({ role: 'user', content })
  addTurn('user').textContent = content
  const turn = addTurn('assistant')
  const begin = performance.now()
  try {
    const pieces = await ask(turn)
    const seconds = (performance.now() - begin) / 1000
    messages.push({ role: 'assistant', content: turn.textContent })
    const meta = document.createElement('span')
    meta.className = 'meta'
    meta.textContent = `${pieces} pieces · ${seconds.toFixed(1)} s · ${(pieces / seconds).toFixed(0)}/s`
    turn.append(meta)
  } catch (error) {
    messages.pop()
    turn.classList.add('failed')
    turn.textContent = error.message
  }
  element('send').disabled = false
})

element('message').addEventListener('keydown', (event) => {
  if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return
  event.preventDefault()
  element('chat').requestSubmit()
})

element('clear').addEventListener('click', () => {
  messages.length = 0
  element('turns').replaceChildren(nothingSaid)
})
