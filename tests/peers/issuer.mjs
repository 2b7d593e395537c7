#!/usr/bin/env node
// A certified authorization server, npm `oidc-provider`, that issues JWT access tokens bound to DPoP keys (with nonces
// of its own) or to client certificates.
//
// Its one argument is JSON: `port`, `chain` and `key` (PEM files of its own certificate), `clients` (PEM file of the
// clients' authority), `audience`. When it listens it prints one line of JSON: `issuer` and its public `jwks`.

import { X509Certificate, randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import https from 'node:https'
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'

const peers = createRequire(new URL('../.peers/package.json', import.meta.url))
const load = (name) => import(pathToFileURL(peers.resolve(name)))
const { default: Provider } = await load('oidc-provider')
const jose = await load('jose')

const { port, chain, key, clients, audience } = JSON.parse(process.argv[2])
const issuer = `https://127.0.0.1:${port}`
const { privateKey, publicKey } = await jose.generateKeyPair('ES256', { extractable: true })
const described = async (part) => ({ ...(await jose.exportJWK(part)), kid: 'issuer-1', alg: 'ES256', use: 'sig' })

const machine = (id, more) => ({
  client_id: id, client_secret: `the secret of ${id}`, grant_types: ['client_credentials'], redirect_uris: [],
  response_types: [], id_token_signed_response_alg: 'ES256', ...more,
})

const provider = new Provider(issuer, {
  clients: [
    machine('prover', { dpop_bound_access_tokens: true }),
    machine('certified', { tls_client_certificate_bound_access_tokens: true }),
  ],
  jwks: { keys: [await described(privateKey)] },
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: false },
    dPoP: { enabled: true, nonceSecret: randomBytes(32), requireNonce: () => true },
    mTLS: {
      enabled: true, certificateBoundAccessTokens: true,
      getCertificate: ({ req }) => {
        const { raw } = req.socket.getPeerCertificate()
        return raw && new X509Certificate(raw).toString()
      },
    },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => audience,
      useGrantedResource: () => true,
      getResourceServerInfo: () => ({
        scope: 'orders:read', audience, accessTokenFormat: 'jwt', accessTokenTTL: 300, jwt: { sign: { alg: 'ES256' } },
      }),
    },
  },
})

const server = https.createServer({
  cert: readFileSync(chain), key: readFileSync(key), ca: readFileSync(clients), requestCert: true,
  rejectUnauthorized: false,
}, provider.callback())
server.listen(port, '127.0.0.1', async () => {
  process.stdout.write(`${JSON.stringify({ issuer, jwks: { keys: [await described(publicKey)] } })}\n`)
})
// Its end is the end of its standard input: an issuer without a test goes.
process.stdin.on('end', () => process.exit(0)).resume()
