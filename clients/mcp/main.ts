// An MCP server on stdin and stdout, for a program that lets a language model look: `npm run mcp -- http://127.0.0.1:8080`.
import { StdioServerTransport } from '@modelcontextprotocol/sdk/server/stdio.js'
import { parseArgs } from 'node:util'
import { GatewayUrls } from './gateway-urls.ts'
import { mcpServer } from './server.ts'

const USAGE = 'usage: npm run mcp -- [URL of the gateway, by default http://127.0.0.1:8080] [--token-file FILE]\n'

function argumentsOf(args: string[]): { url: URL; tokenFile: string | undefined } | undefined {
  try {
    const { values, positionals } = parseArgs({ args, allowPositionals: true, options: { 'token-file': { type: 'string' } } })
    const [url = 'http://127.0.0.1:8080', ...more] = positionals
    if (more.length > 0 || !/^https?:\/\//.test(url) || !URL.canParse(url)) return undefined
    return { url: new URL(url.endsWith('/') ? url : `${url}/`), tokenFile: values['token-file'] }
  } catch {
    return undefined
  }
}

const given = argumentsOf(process.argv.slice(2))
if (given === undefined) {
  process.stderr.write(USAGE)
  process.exit(78)
}
await mcpServer(new GatewayUrls(given.url, given.tokenFile)).connect(new StdioServerTransport())
