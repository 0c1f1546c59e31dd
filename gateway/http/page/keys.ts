// Keys of the large view, where nothing else takes them.

export function actOn(event: KeyboardEvent, acts: Readonly<Record<string, () => void>>): void {
  const { key, target } = event
  if (event.ctrlKey || event.metaKey || event.altKey || target instanceof HTMLSelectElement) return
  // The space bar presses the button that has the focus.
  if (key === ' ' && (target instanceof HTMLButtonElement || target instanceof HTMLInputElement)) return
  const act = acts[key]
  if (act === undefined) return
  event.preventDefault()
  act()
}
