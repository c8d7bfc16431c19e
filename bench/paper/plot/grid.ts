import { picture, translated } from './svg.js'

const LEGEND_HEIGHT = 28

export interface GridOptions {
  readonly columns: number
  readonly panelWidth: number
  readonly panelHeight: number
  /** Draws the row above the panels. */
  readonly legend: (width: number, y: number) => string
}

/** A picture of equal panels in rows under one legend. */
export function drawGrid(
  panels: readonly ((width: number, height: number) => string)[],
  { columns, panelWidth, panelHeight, legend }: GridOptions,
): string {
  const width = columns * panelWidth
  const rows = Math.ceil(panels.length / columns)
  const placed = panels.map((draw, i) =>
    translated(
      (i % columns) * panelWidth,
      LEGEND_HEIGHT + Math.floor(i / columns) * panelHeight,
      draw(panelWidth, panelHeight),
    ),
  )
  const height = LEGEND_HEIGHT + rows * panelHeight
  return picture(width, height, legend(width, LEGEND_HEIGHT / 2) + placed.join(''))
}
