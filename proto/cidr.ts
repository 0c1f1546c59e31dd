import { isIP } from 'node:net'

/** Why `cidr` is none; undefined when it is one. */
export function checkCidr(cidr: string): string | undefined {
  const [address = '', prefix = '', ...rest] = cidr.split('/')
  const bits = isIP(address) === 4 ? 32 : isIP(address) === 6 ? 128 : -1
  const valid = rest.length === 0 && /^\d{1,3}$/.test(prefix) && Number(prefix) <= bits
  return valid ? undefined : `${JSON.stringify(cidr)} must be an address range such as 10.0.0.0/8`
}
