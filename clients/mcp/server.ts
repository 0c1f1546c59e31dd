// What a language model may do: list the cameras, look at one, and ask what models have seen. Nothing is changed.
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import type { CallToolResult } from '@modelcontextprotocol/sdk/types.js'
import { z } from 'zod'
import { NoAnswer, type GatewayUrls } from './gateway-urls.ts'

const READS = { readOnlyHint: true, openWorldHint: false } as const
const CAMERA = z.string().max(120).describe('Name of the camera, as list_cameras gives it')
const TIME = z.string().max(40).describe('RFC 3339, such as 2026-01-31T12:00:00Z')
const WIDTH = 1_024

export function mcpServer(gateway: GatewayUrls): McpServer {
  const server = new McpServer({ name: 'chrysalis-edge', version: '1.0.0' })
  server.registerTool(
    'list_cameras',
    { description: 'The cameras, with their state, what to do about it, size, rate and labels.', annotations: READS },
    () => answered(async () => [text(await (await gateway.cameras()).text())]),
  )
  server.registerTool(
    'look',
    {
      description: 'A frame of a camera as JPEG: the newest, or the one of a past time. Says when it was captured.',
      inputSchema: { camera: CAMERA, at: TIME.optional(), width: z.number().int().min(16).max(1920).optional() },
      annotations: READS,
    },
    ({ camera, at, width = WIDTH }) =>
      answered(async () => {
        const answer = await gateway.camera(camera, 'frame.jpg', { width, at })
        const jpeg = Buffer.from(await answer.arrayBuffer())
        const captured = answer.headers.get('x-capture-time') ?? ''
        const about = `camera ${camera}, captured ${captured}, frame id ${answer.headers.get('x-frame-id') ?? ''}`
        return [text(about), { type: 'image', data: jpeg.toString('base64'), mimeType: 'image/jpeg' }]
      }),
  )
  server.registerTool(
    'what_happened',
    {
      description: 'What models annotated of a camera within the last 24 hours: type, label, confidence, box and time of each.',
      inputSchema: { camera: CAMERA, from: TIME.optional(), to: TIME.optional(), limit: z.number().int().min(1).max(1000).optional() },
      annotations: READS,
    },
    ({ camera, from, to, limit = 100 }) =>
      answered(async () => {
        const answer = await gateway.camera(camera, 'annotations', { from, to, limit })
        const { annotations, isComplete } = (await answer.json()) as { annotations: { captureTime: number }[]; isComplete: boolean }
        const said = annotations.map(({ captureTime, ...seen }) => ({ time: new Date(captureTime).toISOString(), ...seen }))
        return [text(JSON.stringify({ annotations: said, isComplete }))]
      }),
  )
  return server
}

const text = (said: string) => ({ type: 'text' as const, text: said })

/** What cannot be answered is told to the model, with the reason. */
async function answered(act: () => Promise<CallToolResult['content']>): Promise<CallToolResult> {
  try {
    return { content: await act() }
  } catch (error) {
    if (!(error instanceof NoAnswer)) throw error
    return { content: [text(error.message)], isError: true }
  }
}
