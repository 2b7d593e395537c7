#!/usr/bin/env node
// A certified authorization server, npm `oidc-provider`, that issues access tokens in every form a gateway may be asked
// to open: signed, signed and then encrypted, and sealed with a shared key. Which one a resource gets stands in FORMS.
//
// Its one argument is JSON: `port`, `chain` and `key` (PEM files of its certificate), `jwks` (its private keys),
// `public` (RSA and EC keys to encrypt to), `secret` (a shared key, base64url). When it listens it prints one line, its
// issuer. Then it reads the name of a form from each line of standard input, gets a token for it at its own token
// endpoint, over HTTPS like any client, and prints it. It counts how often its key set was asked for: `jwks?` prints that.

import { createPublicKey, createSecretKey } from 'node:crypto'
import { readFileSync } from 'node:fs'
import https from 'node:https'
import { createRequire } from 'node:module'
import { createInterface } from 'node:readline'
import { pathToFileURL } from 'node:url'

// Its library speaks on standard output too, which here belongs to the answers.
for (const name of ['log', 'info', 'warn']) console[name] = console.error

const peers = createRequire(new URL('../.peers/package.json', import.meta.url))
const { default: Provider } = await import(pathToFileURL(peers.resolve('oidc-provider')))

const asked = JSON.parse(process.argv[2])
const issuer = `https://127.0.0.1:${asked.port}`
const audience = 'https://api.example.test'
const recipient = (jwk) => createPublicKey({ key: jwk, format: 'jwk' })
const FORMS = {
  ES256: { sign: { alg: 'ES256' } },
  RS256: { sign: { alg: 'RS256' } },
  EdDSA: { sign: { alg: 'EdDSA' } },
  'RSA-OAEP-256': {
    sign: { alg: 'ES256' }, encrypt: { alg: 'RSA-OAEP-256', enc: 'A256GCM', key: recipient(asked.public.rsa) },
  },
  'ECDH-ES+A256KW': {
    sign: { alg: 'ES256' }, encrypt: { alg: 'ECDH-ES+A256KW', enc: 'A256GCM', key: recipient(asked.public.ec) },
  },
  dir: { encrypt: { alg: 'dir', enc: 'A256GCM', key: createSecretKey(Buffer.from(asked.secret, 'base64url')) } },
}

const provider = new Provider(issuer, {
  clients: [{
    client_id: 'machine', client_secret: 'the secret of machine', grant_types: ['client_credentials'],
    redirect_uris: [], response_types: [], id_token_signed_response_alg: 'ES256',
  }],
  jwks: asked.jwks,
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: false },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: (_, resource) => ({
        scope: 'orders:read', audience, accessTokenFormat: 'jwt', accessTokenTTL: 300,
        jwt: FORMS[decodeURIComponent(new URL(resource).pathname.slice(1))],
      }),
    },
  },
})

const tls = { cert: readFileSync(asked.chain), key: readFileSync(asked.key) }
let jwksRequests = 0
const handle = provider.callback()
const server = https.createServer(tls, (request, response) => {
  if (request.url === '/jwks') jwksRequests += 1
  handle(request, response)
})

// A token for the resource of this name, got like any client gets one.
const token = (form) => new Promise((resolve, reject) => {
  const body = new URLSearchParams({
    grant_type: 'client_credentials', resource: `https://resource.example.test/${encodeURIComponent(form)}`,
  }).toString()
  const authorization = `Basic ${Buffer.from('machine:the+secret+of+machine').toString('base64')}`
  const headers = { authorization, 'content-type': 'application/x-www-form-urlencoded', 'content-length': body.length }
  const request = https.request(`${issuer}/token`, { method: 'POST', ca: tls.cert, rejectUnauthorized: false, headers })
  request.on('response', async (response) => {
    let text = ''
    for await (const part of response) text += part
    const told = JSON.parse(text)
    if (told.access_token) resolve(told.access_token)
    else reject(new Error(text))
  })
  request.on('error', reject).end(body)
})

server.listen(asked.port, '127.0.0.1', async () => {
  process.stdout.write(`${issuer}\n`)
  for await (const line of createInterface({ input: process.stdin })) {
    process.stdout.write(`${line === 'jwks?' ? jwksRequests : await token(line)}\n`)
  }
  // Its end is the end of its standard input: a provider without a test goes.
  process.exit(0)
})
