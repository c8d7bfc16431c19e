// Bars of each case on its own scale, one panel a width.
export function barsOf(rows, engines, colours) {
  const [left, width, bar] = [110, 420, 11]
  const widths = [...new Set(rows.map(({ bits }) => bits))]
  const height = engines.length * bar + 9
  const most = Math.max(...widths.map((bits) => rows.filter((row) => row.bits === bits).length))
  const panels = widths.map((bits, column) => {
    const x = column * (left + width / 2 + 70)
    const groups = rows
      .filter((row) => row.bits === bits)
      .map((row, i) => {
        const largest = Math.max(...Object.values(row.medians))
        const bars = engines.map((engine, j) => {
          const value = row.medians[engine] ?? 0
          const length = ((value / largest) * width) / 2
          const y = 70 + i * height + j * bar
          const text = row.medians[engine] === undefined ? 'not measured' : value.toFixed(0)
          return (
            `<rect x="${x + left}" y="${y}" width="${length.toFixed(1)}" height="${bar - 2}" fill="${colours[engine]}"/>` +
            `<text x="${(x + left + length + 5).toFixed(1)}" y="${y + 8}" font-size="10">${text}</text>`
          )
        })
        const label = `<text x="${x + left - 8}" y="${70 + i * height + height / 2}" text-anchor="end">${row.name}</text>`
        return label + bars.join('')
      })
    return `<text x="${x + left}" y="56" font-weight="600">${bits} bits</text>${groups.join('')}`
  })
  const legend = engines.map(
    (engine, i) =>
      `<rect x="${20 + i * 150}" y="16" width="12" height="12" fill="${colours[engine]}"/><text x="${38 + i * 150}" y="26">${engine}</text>`,
  )
  const total = widths.length * (left + width / 2 + 70)
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" width="${total}" height="${80 + most * height}" font-family="system-ui, sans-serif" font-size="12">` +
    `<rect width="100%" height="100%" fill="#fff"/>${legend.join('')}${panels.join('')}</svg>\n`
  )
}
