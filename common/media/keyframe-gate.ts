/**
 * What packets pass by after a loss. It lets all through until it is closed, and then none up to the next keyframe: what lies between could
 * not be decoded.
 */
export class KeyframeGate {
  #isOpen: boolean

  /** Closed: the first packet that passes is a keyframe. */
  constructor(state: 'open' | 'closed') {
    this.#isOpen = state === 'open'
  }

  get isOpen(): boolean {
    return this.#isOpen
  }

  close(): void {
    this.#isOpen = false
  }

  /** Whether the packet may pass. A keyframe opens the gate, where `mayOpen` allows it. */
  passes({ key }: { key: boolean }, mayOpen: () => boolean = always): boolean {
    this.#isOpen ||= key && mayOpen()
    return this.#isOpen
  }
}

const always = () => true
