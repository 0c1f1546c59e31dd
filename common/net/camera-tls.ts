// TLS as cameras speak it.

/**
 * A camera's certificate is hardly ever signed by anyone; the connection is encrypted, and its address is the one we chose. Old cameras speak
 * TLS 1.0 or 1.1 alone, which OpenSSL allows at this level only.
 */
export const CAMERA_TLS = { rejectUnauthorized: false, minVersion: 'TLSv1', ciphers: 'DEFAULT:@SECLEVEL=0' } as const

/** Of a host in a URL: no address. */
export const isName = (host: string) => /[a-z]/i.test(host) && !host.includes(':')
