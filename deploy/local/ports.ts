import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'

const ADVICE: Readonly<Record<string, string>> = {
  EADDRINUSE: 'is taken, perhaps by another run of this: choose another with --port or --http-port; 0 takes any',
  EACCES: 'may not be used by you: choose one above 1023',
}

/** A port of 127.0.0.1 that is free now: the one asked for, or any for 0. Rejects with what to do. */
export async function reservePort(port: number): Promise<number> {
  const server = createServer().listen(port, '127.0.0.1')
  try {
    await once(server, 'listening')
    return (server.address() as AddressInfo).port
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : undefined
    const advice = code === undefined ? undefined : ADVICE[code]
    if (advice !== undefined) throw new Error(`port ${port} ${advice}`, { cause: error })
    throw error
  } finally {
    server.close()
  }
}
