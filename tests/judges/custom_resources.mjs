// Judges ServiceMonitor and PrometheusRule objects, a JSON list on standard input, by the schemas of the Prometheus
// operator: Kubernetes' own schemas know nothing of them.

import { readFileSync } from 'node:fs'

const models = '../.peers/judges/node_modules/@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/index.js'
const kinds = await import(new URL(models, import.meta.url))

for (const object of JSON.parse(readFileSync(0))) {
  new kinds[object.kind](object).validate()
  console.log(`${object.kind} ${object.metadata.name}: valid`)
}
