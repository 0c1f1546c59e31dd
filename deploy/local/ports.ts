import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'

/** A port of 127.0.0.1 that is free now: the one asked for, or any for 0. Rejects with what to do. */
export async function reservePort(port: number): Promise<number> {
  const server = createServer().listen(port, '127.0.0.1')
  try {
    await once(server, 'listening')
    return (server.address() as AddressInfo).port
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined
    if (code === 'EADDRINUSE')
      throw new Error(`port ${port} is taken, perhaps by another run of this: choose one with --port, or --port 0 for any`)
    if (code === 'EACCES') throw new Error(`port ${port} may not be used by you: choose one above 1023 with --port`)
    throw error
  } finally {
    server.close()
  }
}
