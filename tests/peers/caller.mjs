#!/usr/bin/env node
// Gets a bound token and calls a protected resource with it, by npm `oauth4webapi` or `openid-client`.
//
// Its one argument is JSON: `lib`, `issuer`, `client_id`, `client_secret`, `url`, `calls`; and `certificate` and `key`
// (PEM files) where the token is to be bound to a certificate. `ca` is the PEM file of the authority of all servers,
// and every name under `.test` is an address of this machine. It prints one line of JSON: `token`, and for each call
// its `status` and `body`. Calls are made two at a time.

import dns from 'node:dns'
import { readFileSync } from 'node:fs'
import https from 'node:https'
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'

const peers = createRequire(new URL('../.peers/package.json', import.meta.url))
const load = (name) => import(pathToFileURL(peers.resolve(name)))
const { lib, issuer, client_id, client_secret, url, calls, certificate, key, ca } = JSON.parse(process.argv[2])
const authority = readFileSync(ca)
const identity = certificate && { cert: readFileSync(certificate), key: readFileSync(key) }

const lookup = dns.lookup
dns.lookup = (host, options, done) =>
  host.endsWith('.test') ? lookup('127.0.0.1', options, done) : lookup(host, options, done)

// Like `fetch`, with an authority and a client certificate of our own; a connection for each request.
function customFetch(target, { method, headers, body }) {
  const options = { method, headers: Object.fromEntries(new Headers(headers)), ca: authority, ...identity, agent: false }
  return new Promise((resolve, reject) => {
    const request = https.request(target, options, async (answer) => {
      const parts = []
      for await (const part of answer) parts.push(part)
      const fields = Object.entries(answer.headers).flatMap(([name, value]) => [value].flat().map((one) => [name, one]))
      const text = [204, 304].includes(answer.statusCode) ? null : Buffer.concat(parts)
      resolve(new Response(text, { status: answer.statusCode, headers: fields }))
    })
    request.on('error', reject).end(body?.toString())
  })
}

// The nonce of a refusal is the reason to try once more.
async function twice(call, isNonceError) {
  try {
    return await call()
  } catch (error) {
    if (!isNonceError(error)) throw error
    return call()
  }
}

// A challenge is an error to both libraries, and an answer to the test.
const answerOf = (error) => error.response ?? error.cause?.response ?? Promise.reject(error)

async function oauth4webapi() {
  const oauth = await load('oauth4webapi')
  const options = { [oauth.customFetch]: customFetch }
  const server = new URL(issuer)
  const as = await oauth.processDiscoveryResponse(server, await oauth.discoveryRequest(server, options))
  const client = { client_id }
  const secret = oauth.ClientSecretBasic(client_secret)
  const DPoP = identity ? undefined : oauth.DPoP(client, await oauth.generateKeyPair('ES256'))
  const grant = async () => oauth.processClientCredentialsResponse(as, client,
    await oauth.clientCredentialsGrantRequest(as, client, secret, { scope: 'orders:read' }, { ...options, DPoP }))
  const { access_token } = await twice(grant, oauth.isDPoPNonceError)
  const ask = () => oauth.protectedResourceRequest(access_token, 'GET', new URL(url), undefined, undefined,
    { ...options, DPoP })
  return { access_token, call: () => twice(ask, oauth.isDPoPNonceError).catch(answerOf) }
}

async function openidClient() {
  const openid = await load('openid-client')
  const secret = openid.ClientSecretBasic(client_secret)
  const options = { [openid.customFetch]: customFetch }
  const config = await openid.discovery(new URL(issuer), client_id, undefined, secret, options)
  const keys = identity ? undefined : await crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign', 'verify'])
  const DPoP = keys && openid.getDPoPHandle(config, keys)
  const { access_token } = await openid.clientCredentialsGrant(config, { scope: 'orders:read' }, { DPoP })
  const ask = () => openid.fetchProtectedResource(config, access_token, new URL(url), 'GET', undefined, undefined, { DPoP })
  // This library dances by itself.
  return { access_token, call: () => ask().catch(answerOf) }
}

const { access_token, call } = await { oauth4webapi, 'openid-client': openidClient }[lib]()
const answers = []
for (let made = 0; made < calls; made += 2) {
  answers.push(...await Promise.all([call(), call()].slice(0, calls - made)))
}
const told = await Promise.all(answers.map(async (answer) => ({ status: answer.status, body: await answer.text() })))
process.stdout.write(`${JSON.stringify({ token: access_token, answers: told })}\n`)
