#!/usr/bin/env node
// Mints and reads tokens with the npm library `jose`, so that tollgate is tested against tokens it did not make.
//
// The same JSON-lines protocol as mint.py, which describes it; `lib` is always "jose". The library is installed by
// tests/run beside the sources, under tests/.peers/, from where it is resolved here.

import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { createInterface } from 'node:readline'
import { pathToFileURL } from 'node:url'

const peers = createRequire(new URL('../.peers/package.json', import.meta.url))
const jose = await import(pathToFileURL(peers.resolve('jose')))
const version = JSON.parse(readFileSync(peers.resolve('jose/package.json'))).version

// What this library cannot do of the algorithms in the contract: named here and compared by the tests, never passed
// over in silence. jose 6 does them all on Node 20 and later.
const LACKS = []

const OCT_BYTES = {
  HS256: 32, HS384: 48, HS512: 64,
  A128KW: 16, A192KW: 24, A256KW: 32,
  A128GCMKW: 16, A192GCMKW: 24, A256GCMKW: 32,
}
const DIR_BYTES = {
  A128GCM: 16, A192GCM: 24, A256GCM: 32,
  'A128CBC-HS256': 32, 'A192CBC-HS384': 48, 'A256CBC-HS512': 64,
}
const utf8 = new TextEncoder()

const content = (request) => utf8.encode(request.payload ?? JSON.stringify(request.claims))

// `alg` and `enc` first, then whatever the request adds or overrides.
function joseHeader({ alg, enc, header = {} }) {
  return enc ? { alg, enc, ...header } : { alg, ...header }
}

// `use` and `key_ops` are the gateway's business: a test may hand over a key that says anything there.
async function importKey(jwk, alg) {
  const { use, key_ops, alg: ignored, ...bare } = jwk
  return jose.importJWK(bare, alg)
}

async function keygen({ alg, enc, crv }) {
  const bytes = alg === 'dir' ? DIR_BYTES[enc] : OCT_BYTES[alg]
  if (bytes) {
    const k = jose.base64url.encode(crypto.getRandomValues(new Uint8Array(bytes)))
    return { private: { kty: 'oct', k }, public: null }
  }
  const pair = await jose.generateKeyPair(alg, { extractable: true, ...(crv && { crv }) })
  return { private: await jose.exportJWK(pair.privateKey), public: await jose.exportJWK(pair.publicKey) }
}

async function sign(request, payload) {
  const header = joseHeader(request)
  return new jose.CompactSign(payload).setProtectedHeader(header).sign(await importKey(request.key, header.alg))
}

async function encrypt(request, plaintext) {
  const header = joseHeader(request)
  return new jose.CompactEncrypt(plaintext).setProtectedHeader(header).encrypt(await importKey(request.key, header.alg))
}

async function nest(request) {
  const signed = await sign(request.sign, content(request))
  const outer = { ...request.encrypt, header: { cty: 'JWT', ...request.encrypt.header } }
  return encrypt(outer, utf8.encode(signed))
}

async function read({ alg, enc, key, token }) {
  const imported = await importKey(key, alg)
  if (token.split('.').length === 5) {
    const options = { keyManagementAlgorithms: [alg], contentEncryptionAlgorithms: [enc] }
    const { plaintext, protectedHeader } = await jose.compactDecrypt(token, imported, options)
    return { header: protectedHeader, payload: new TextDecoder().decode(plaintext) }
  }
  const { payload, protectedHeader } = await jose.compactVerify(token, imported, { algorithms: [alg] })
  return { header: protectedHeader, payload: new TextDecoder().decode(payload) }
}

async function answer(request) {
  if (request.op !== 'about' && request.lib !== 'jose') throw new Error(`no library ${request.lib}`)
  switch (request.op) {
    case 'about':
      return { libs: { jose: version }, lacks: { jose: LACKS } }
    case 'keygen':
      return keygen(request)
    case 'sign':
      return { token: await sign(request, content(request)) }
    case 'encrypt':
      return { token: await encrypt(request, content(request)) }
    case 'nest':
      return { token: await nest(request) }
    case 'read':
      return read(request)
    default:
      throw new Error(`no operation ${request.op}`)
  }
}

for await (const line of createInterface({ input: process.stdin, crlfDelay: Infinity })) {
  let reply
  try {
    reply = await answer(JSON.parse(line))
  } catch (fault) {
    reply = { error: `${fault.name}: ${fault.message}` }
  }
  process.stdout.write(`${JSON.stringify(reply)}\n`)
}
