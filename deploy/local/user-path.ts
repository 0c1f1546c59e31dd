import { resolve } from 'node:path'

/** npm changes into the project's folder; the user names files from where the command was typed. */
export const fromUser = (path: string): string => resolve(process.env['INIT_CWD'] ?? process.cwd(), path)
