// Writes the generated pages and tables of docs/: `node docs/generate/main.ts`. With --check it only reports those that are out of date.
import { readFile, writeFile } from 'node:fs/promises'
import { cameraPage, operatorPage, troubleshootingPage } from './operator.ts'
import { metricsPage } from './metrics.ts'
import { natsPage } from './nats.ts'
import { fromDocs } from './page.ts'
import { settingsPage } from './settings.ts'
import { valuesPage } from './values.ts'

for (const { name, text } of await Promise.all([
  cameraPage(),
  metricsPage(),
  natsPage(),
  operatorPage(),
  settingsPage(),
  troubleshootingPage(),
  valuesPage(),
])) {
  if (!process.argv.includes('--check')) await writeFile(fromDocs(name), text)
  else if ((await readFile(fromDocs(name), 'utf8')) !== text) {
    process.stderr.write(`docs/${name} is out of date: run npm run generate\n`)
    process.exitCode = 1
  }
}
