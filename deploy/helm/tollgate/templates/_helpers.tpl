{{- define "tollgate.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "tollgate.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "tollgate.labels" -}}
{{ include "tollgate.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- /* "true" where replicas share a store; without it a second one would let every one-time token through again. */}}
{{- define "tollgate.shared" -}}
{{- if dig "store" "redis" nil .Values.config }}true{{ end }}
{{- end }}

{{- define "tollgate.checked" -}}
{{- if not .Values.config.routes }}{{ fail "config: write the gateway.yaml to serve here; ci/redis-values.yaml is an example" }}{{ end }}
{{- if not (include "tollgate.shared" .) }}
{{- if or .Values.autoscaling.enabled (gt (int .Values.replicas) 1) }}
{{- fail "replicas: the embedded store is one process' memory: a one-time token would pass once at each replica. Set `config.store.redis`, or `replicas: 1` without autoscaling" }}
{{- end }}
{{- end }}
{{- end }}

{{- define "tollgate.config" -}}
{{- $set := dict "address" "127.0.0.1:9901" "metrics_address" (printf "0.0.0.0:%d" (int .Values.metricsPort)) }}
{{- $admin := merge $set (.Values.config.admin | default dict) }}
{{- merge (dict "version" 1 "admin" $admin) .Values.config | toYaml }}
{{- end }}
