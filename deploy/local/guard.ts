import { spawn } from 'node:child_process'

// Reads pids, a line each, until its stdin ends: then we are gone, and the last one is.
const SCRIPT = 'pid=; while read -r line; do pid=$line; done; if [ -n "$pid" ]; then kill -KILL "$pid"; fi; rm -rf -- "$1"'

/** Sees to what would outlive us if we were killed: a process that doesn't notice, and the folder with the secrets. */
export class Guard implements Disposable {
  readonly #shell

  constructor(folder: string) {
    this.#shell = spawn('/bin/sh', ['-c', SCRIPT, 'sh', folder], { stdio: ['pipe', 'ignore', 'ignore'], detached: true })
    this.#shell.on('error', () => {}).unref()
    this.#shell.stdin.on('error', () => {})
  }

  /** The process to end; undefined when it has ended. */
  watch(pid: number | undefined): void {
    this.#shell.stdin.write(`${pid ?? ''}\n`)
  }

  [Symbol.dispose](): void {
    this.#shell.kill('SIGKILL')
  }
}
