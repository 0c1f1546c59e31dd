// Sends the same bytes to what connects, as fast as they are taken: loopback-source.ts BYTES. Prints its port.
import { createServer, type AddressInfo } from 'node:net'

const frame = Buffer.alloc(Number(process.argv[2]), 1)
const server = createServer(socket => {
  const send = () => void socket.write(frame, error => error ?? send())
  socket.on('error', () => socket.destroy())
  send()
})
server.listen(0, '127.0.0.1', () => console.log((server.address() as AddressInfo).port))
