{{/* Names are at most 40 characters, so that whatever is appended stays within 63. */}}
{{- define "chrysalis.fullname" -}}
{{- $name := .Values.nameOverride | default .Chart.Name -}}
{{- $full := .Values.fullnameOverride | default (ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name)) -}}
{{- $full | trunc 40 | trimSuffix "-" -}}
{{- end }}

{{/* (list . component): what chooses the component's pods. */}}
{{- define "chrysalis.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ $root.Values.nameOverride | default $root.Chart.Name | quote }}
app.kubernetes.io/instance: {{ quote $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{/* (list . component) */}}
{{- define "chrysalis.labels" -}}
{{- $root := index . 0 -}}
{{ include "chrysalis.selector" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: chrysalis-edge
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ $root.Chart.Name }}-{{ $root.Chart.Version }}
{{- with $root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Without versions, so that an upgrade replaces only pods that it changes. (list . component) */}}
{{- define "chrysalis.podLabels" -}}
{{ include "chrysalis.selector" . }}
app.kubernetes.io/part-of: chrysalis-edge
{{- with (index . 0).Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* (list . component suffix annotations): the metadata of an object in the release's namespace. */}}
{{- define "chrysalis.metadata" -}}
{{- $root := index . 0 -}}
{{- $name := include "chrysalis.fullname" $root -}}
metadata:
  name: {{ with index . 2 }}{{ $name }}-{{ . }}{{ else }}{{ quote $name }}{{ end }}
  namespace: {{ quote $root.Release.Namespace }}
  labels: {{- include "chrysalis.labels" (list $root (index . 1)) | nindent 4 }}
  {{- $annotations := merge (dict) (index (append . dict) 3) $root.Values.commonAnnotations }}
  {{- with $annotations }}
  annotations: {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}

{{/* (list . component suffix): the metadata of an object of the cluster. */}}
{{- define "chrysalis.clusterMetadata" -}}
{{- $root := index . 0 -}}
metadata:
  name: {{ include "chrysalis.fullname" $root }}-{{ index . 2 }}
  labels: {{- include "chrysalis.labels" (list $root (index . 1)) | nindent 4 }}
  {{- with $root.Values.commonAnnotations }}
  annotations: {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}

{{/* (list . image) */}}
{{- define "chrysalis.image" -}}
{{- $root := index . 0 -}}
{{- $image := index . 1 -}}
{{- $registry := $root.Values.global.imageRegistry | default $image.registry -}}
{{- $version := ternary (printf "@%s" $image.digest) (printf ":%s" ($image.tag | default $root.Chart.AppVersion)) (ne $image.digest "") -}}
{{- with $registry }}{{ . }}/{{ end }}{{ $image.repository }}{{ $version }}
{{- end }}

{{/* What all pods have in common. (list . values): values of the component, for where its pods may run. */}}
{{- define "chrysalis.pod" -}}
{{- $root := index . 0 -}}
{{- $values := index . 1 -}}
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: { type: RuntimeDefault }
{{- with $root.Values.global.imagePullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ quote . }}
  {{- end }}
{{- end }}
{{- range $field := list "nodeSelector" "tolerations" "affinity" "topologySpreadConstraints" "priorityClassName" }}
{{- with index $values $field }}
{{ $field }}: {{- if kindIs "string" . }} {{ quote . }}{{ else }}{{ toYaml . | nindent 2 }}{{ end }}
{{- end }}
{{- end }}
{{- end }}

{{/* (list . component values): metadata of the component's pods. */}}
{{- define "chrysalis.podMetadata" -}}
{{- $root := index . 0 -}}
{{- $values := index . 2 -}}
labels: {{- include "chrysalis.podLabels" (list $root (index . 1)) | nindent 2 }}
  {{- with $values.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with merge (dict) $values.podAnnotations $root.Values.commonAnnotations }}
annotations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "chrysalis.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end }}

{{/* Of a container that runs a program of ours. */}}
{{- define "chrysalis.ourImage" -}}
image: {{ include "chrysalis.image" (list . .Values.image) }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext: {{- include "chrysalis.containerSecurity" . | nindent 2 }}
{{- end }}

{{/* Probes and port of our programs. */}}
{{- define "chrysalis.probes" -}}
startupProbe:
  httpGet: { path: /livez, port: probes }
  periodSeconds: 2
  timeoutSeconds: 5
  failureThreshold: 60
livenessProbe:
  httpGet: { path: /livez, port: probes }
  timeoutSeconds: 5
readinessProbe:
  httpGet: { path: /readyz, port: probes }
  timeoutSeconds: 5
{{- end }}

{{- define "chrysalis.embeddedNats" -}}
{{- if not .Values.nats.external.url }}yes{{ end }}
{{- end }}

{{/* The Secret with the certificate of the chart's own NATS. */}}
{{- define "chrysalis.natsCertificate" -}}
{{- if and (include "chrysalis.embeddedNats" .) .Values.nats.tls.enabled }}{{ include "chrysalis.fullname" . }}-nats-tls{{ end }}
{{- end }}

{{- define "chrysalis.natsUrl" -}}
{{- $scheme := ternary "tls" "nats" (ne (include "chrysalis.natsCertificate" .) "") -}}
{{- .Values.nats.external.url | default (printf "%s://%s-nats.%s.svc:4222" $scheme (include "chrysalis.fullname" .) .Release.Namespace) -}}
{{- end }}

{{/* The Secret with which a component of ours presents itself to NATS; none where an external one asks for nothing. (list . component) */}}
{{- define "chrysalis.natsSecret" -}}
{{- $root := index . 0 -}}
{{- if include "chrysalis.embeddedNats" $root -}}
{{ include "chrysalis.fullname" $root }}-nats-{{ index . 1 }}
{{- else -}}
{{ $root.Values.nats.external.existingSecret }}
{{- end }}
{{- end }}

{{/* Environment that operator and gateway share. (list . component) */}}
{{- define "chrysalis.env" -}}
{{- $root := index . 0 -}}
- { name: CHRYS_NAMESPACE, value: {{ quote $root.Release.Namespace }} }
- { name: CHRYS_LOG_LEVEL, value: {{ $root.Values.log.level }} }
- { name: CHRYS_PROBE_PORT, value: '9091' }
- { name: CHRYS_METRICS_PORT, value: '9090' }
- { name: CHRYS_NATS_URL, value: {{ include "chrysalis.natsUrl" $root | quote }} }
{{- with include "chrysalis.natsCertificate" $root }}
- { name: CHRYS_NATS_CA, valueFrom: { secretKeyRef: { name: {{ quote . }}, key: ca.crt } } }
{{- end }}
{{- $replicas := ternary $root.Values.nats.external.replicas $root.Values.nats.replicas (ne $root.Values.nats.external.url "") | int }}
{{- if gt $replicas 1 }}
- { name: CHRYS_NATS_REPLICAS, value: {{ quote $replicas }} }
{{- end }}
{{- if include "chrysalis.natsSecret" . }}
- { name: CHRYS_NATS_CREDS_FILE, value: /run/chrysalis/nats/user.creds }
{{- end }}
{{- end }}

{{- define "chrysalis.serverCertificate" -}}
{{- $own := ternary (printf "%s-gateway-tls" (include "chrysalis.fullname" .)) "" .Values.gateway.tls.selfSigned.enabled -}}
{{- .Values.gateway.tls.existingSecret | default (ternary (printf "%s-grpc-tls" (include "chrysalis.fullname" .)) $own .Values.gateway.tls.certManager.enabled) -}}
{{- end }}

{{/* A quantity such as 64Mi, in bytes. */}}
{{- define "chrysalis.bytes" -}}
{{- $units := dict "" 1 "k" 1000 "M" 1000000 "G" 1000000000 "T" 1000000000000 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 -}}
{{- $text := toString . -}}
{{- mul (regexFind "^[0-9]+" $text | int64) (get $units (regexFind "[A-Za-z]*$" $text)) -}}
{{- end }}

{{/* An address range as 4 or 6 and the bits that its addresses begin with: those of a range within it begin with the same. */}}
{{- define "chrysalis.cidrBits" -}}
{{- $address := splitList "/" . | first -}}
{{- $length := splitList "/" . | last | int -}}
{{- $bits := "" -}}
{{- if contains ":" . -}}
{{- $zeros := repeat (sub 8 (splitList ":" $address | compact | len) | max 0 | int) "0:" -}}
{{- range replace "::" (print ":" $zeros) $address | splitList ":" | compact -}}
{{- range printf "000%s" (lower .) | trunc -4 | splitList "" -}}
{{- $bits = printf "%s%04b" $bits (splitList . "0123456789abcdef" | first | len) -}}
{{- end -}}
{{- end -}}
6{{ trunc $length $bits }}
{{- else -}}
{{- range splitList "." $address -}}
{{- $bits = printf "%s%08b" $bits (int .) -}}
{{- end -}}
4{{ trunc $length $bits }}
{{- end -}}
{{- end }}

{{/* The Secrets that Jobs make, where they go with the release. */}}
{{- define "chrysalis.removedSecrets" -}}
{{- $name := include "chrysalis.fullname" . -}}
{{- $secrets := list -}}
{{- if and (include "chrysalis.embeddedNats" .) (not .Values.nats.persistence.keep) -}}
{{- range list "server" "signing" "operator" "gateway" -}}
{{- $secrets = append $secrets (printf "%s-nats-%s" $name .) -}}
{{- end -}}
{{- if .Values.gateway.tls.selfSigned.enabled -}}
{{- $secrets = append $secrets (printf "%s-gateway-tls" $name) -}}
{{- end -}}
{{- with include "chrysalis.natsCertificate" . -}}
{{- $secrets = append $secrets . -}}
{{- end -}}
{{- if or .Values.gateway.tls.selfSigned.enabled .Values.nats.tls.enabled -}}
{{- $secrets = append $secrets (printf "%s-ca" $name) -}}
{{- end -}}
{{- end -}}
{{- with $secrets }}{{ toYaml . }}{{ end -}}
{{- end }}

{{/* nats.conf */}}
{{- define "chrysalis.natsConfig" }}
server_name: {{ ternary (printf "%s-nats" (include "chrysalis.fullname" .)) "$POD_NAME" (eq (int .Values.nats.replicas) 1) }}
listen: 0.0.0.0:4222
# For Kubernetes' probes.
http: 0.0.0.0:8222
# Frames up to this size cross NATS whole, larger ones in parts; a slow reader may be so far behind.
max_payload: 8388608
max_pending: 67108864
jetstream {
  store_dir: /data
  max_memory_store: {{ include "chrysalis.bytes" .Values.nats.jetstream.maxMemory }}
  max_file_store: {{ include "chrysalis.bytes" .Values.nats.jetstream.maxFile }}
  sync_interval: {{ .Values.nats.jetstream.syncInterval }}
}
{{- $certificate := "cert_file: /etc/nats-tls/tls.crt, key_file: /etc/nats-tls/tls.key" }}
{{- if include "chrysalis.natsCertificate" . }}
tls { {{ $certificate }}, timeout: 5 }
{{- end }}
{{- if gt (int .Values.nats.replicas) 1 }}
{{- $name := include "chrysalis.fullname" . }}
{{- $namespace := .Release.Namespace }}
cluster {
  name: {{ $name }}
  listen: 0.0.0.0:6222
  {{- if include "chrysalis.natsCertificate" . }}
  # Servers show each other the certificate.
  tls { {{ $certificate }}, ca_file: /etc/nats-tls/ca.crt, timeout: 5 }
  {{- end }}
  # A server that stands still is noticed within seconds.
  ping_interval: "2s"
  ping_max: 2
  routes: [
    {{- range until (int .Values.nats.replicas) }}
    nats://{{ $name }}-nats-{{ . }}.{{ $name }}-nats-routes.{{ $namespace }}.svc:6222
    {{- end }}
  ]
}
{{- end }}
include ../nats-keys/accounts.conf
{{- end }}

{{/* The spec of a Job. (list . serviceAccount program env) */}}
{{- define "chrysalis.hookJob" -}}
{{- $root := index . 0 -}}
backoffLimit: 3
activeDeadlineSeconds: 240
ttlSecondsAfterFinished: 600
template:
  metadata:
    labels: {{- include "chrysalis.podLabels" (list $root "hook") | nindent 6 }}
  spec:
    {{- include "chrysalis.pod" (list $root $root.Values.operator) | nindent 4 }}
    serviceAccountName: {{ index . 1 }}
    restartPolicy: Never
    containers:
      - name: {{ index . 2 }}
        {{- include "chrysalis.ourImage" $root | nindent 8 }}
        args: [node, operator/{{ index . 2 }}.ts]
        env: {{- index . 3 | toYaml | nindent 10 }}
        resources: {{- toYaml $root.Values.hooks.resources | nindent 10 }}
        volumeMounts:
          - { name: tmp, mountPath: /tmp }
    volumes:
      - { name: tmp, emptyDir: { medium: Memory, sizeLimit: 32Mi } }
{{- end }}

{{/* Resources as JSON, all quantities as text. */}}
{{- define "chrysalis.quantities" -}}
{{- $result := dict -}}
{{- range $kind, $amounts := . -}}
{{- $texts := dict -}}
{{- range $name, $amount := $amounts -}}
{{- $_ := set $texts $name (toString $amount) -}}
{{- end -}}
{{- $_ := set $result $kind $texts -}}
{{- end -}}
{{- toJson $result -}}
{{- end }}
