// Run by thin-link.ts in a network namespace of its own: thin-link-inside.ts OPTIONS, as JSON. Prints its rows as JSON.
import { measureLinked, type LinkOptions } from './thin-link-run.ts'

// The one that asked is gone.
process.stdin.on('end', () => process.exit(1)).resume()
const rows = await measureLinked(JSON.parse(process.argv[2] ?? '') as LinkOptions)
process.stdout.write(JSON.stringify(rows), () => process.exit())
