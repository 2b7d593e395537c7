#!/usr/bin/env node
// Makes load over HTTP/2, by Node.js's own client: each connection has some streams open all the time.
//
// Its one argument is JSON: `url`, `token`, `connections`, `streams`, and `ca`, the PEM file of the server's authority.
// Every name under `.test` is an address of this machine. A connection that the server wants to end (GOAWAY) is replaced
// for the next request, as every client does. A request that was begun as that notice came is closed unprocessed
// (REFUSED_STREAM, RFC 9113 section 8.7), and made again; no other is. On SIGINT it finishes what is under way and prints one
// line of JSON: how many requests were `answered` 200, over how many connections (`opened`), how many `refused` that way, and
// what `failed`.

import dns from 'node:dns'
import { readFileSync } from 'node:fs'
import http2 from 'node:http2'

const { url, token, connections, streams, ca } = JSON.parse(process.argv[2])
const authority = readFileSync(ca)
const { origin, pathname } = new URL(url)

const lookup = dns.lookup
dns.lookup = (host, options, done) =>
  host.endsWith('.test') ? lookup('127.0.0.1', options, done) : lookup(host, options, done)

let going = true
let answered = 0
let opened = 0
let refused = 0
const failed = []

class Connection {
  // The session for the next request.
  session() {
    if (!this.open || this.open.closed || this.open.destroyed) {
      opened += 1
      this.open = http2.connect(origin, { ca: authority })
      // Its streams tell what it means for them.
      this.open.on('error', () => {})
    }
    return this.open
  }

  async stream() {
    while (going) {
      try {
        const status = await ask(this.session())
        if (status === 200) answered += 1
        else failed.push(`status ${status}`)
      } catch (fault) {
        if (String(fault.message).endsWith('NGHTTP2_REFUSED_STREAM')) refused += 1
        else failed.push(`${fault.code}: ${fault.message}`)
      }
    }
  }
}

function ask(session) {
  return new Promise((resolve, reject) => {
    const request = session.request({ ':path': pathname, authorization: `Bearer ${token}` })
    let status
    request.on('response', (headers) => (status = headers[':status']))
    request.on('error', reject)
    request.on('close', () => (status && request.readableEnded ? resolve(status) : reject(new Error('cut off'))))
    request.resume()
    request.end()
  })
}

process.on('SIGINT', () => (going = false))
const all = Array.from({ length: connections }, () => new Connection())
await Promise.all(all.flatMap((connection) => Array.from({ length: streams }, () => connection.stream())))
all.forEach((connection) => connection.open?.close())
console.log(JSON.stringify({ answered, opened, refused, failed: failed.length, faults: [...new Set(failed)] }))
process.exit()
