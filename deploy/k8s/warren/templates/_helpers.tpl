{{/* Names, labels and the parts that both Deployments share. */}}

{{- define "warren.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | replace "." "-" | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- $release := .Release.Name | replace "." "-" -}}
{{- if contains $name $release -}}
{{- $release | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" $release $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "warren.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "warren.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* By what pods are selected. A Deployment's selector can't be changed, so nothing of it is a value, and the release's name never changes.
(dict "root" $ "component" "gateway") */}}
{{- define "warren.selector" -}}
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- with .component }}
app.kubernetes.io/component: {{ . }}
{{- end }}
{{- end -}}

{{/* An object's labels: what it is found by, labels of the user's for it and for all, and the usual ones.
(dict "root" $ "component" "gateway" "own" (dict …)) */}}
{{- define "warren.labels" -}}
{{- $usual := dict "app.kubernetes.io/version" .root.Chart.AppVersion "app.kubernetes.io/part-of" "warren" -}}
{{- $helm := dict "app.kubernetes.io/managed-by" .root.Release.Service "helm.sh/chart" (printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_") -}}
{{- toYaml (merge (include "warren.selector" . | fromYaml) $helm (default dict .own) .root.Values.commonLabels $usual) -}}
{{- end -}}

{{/* The labels of a pod's template. (dict "root" $ "component" "gateway" "own" .Values.gateway.podLabels) */}}
{{- define "warren.podLabels" -}}
{{- toYaml (merge (include "warren.selector" . | fromYaml) (default dict .own) .root.Values.commonLabels) -}}
{{- end -}}

{{/* An object's annotations, its own before those for all; nothing where there are none. (dict "root" $ "own" (dict …)) */}}
{{- define "warren.annotations" -}}
{{- with merge dict (default dict .own) .root.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* The registry for all images: a parent chart's before ours, with a slash behind it. */}}
{{- define "warren.registry" -}}
{{- with default .Values.image.registry (.Values.global).imageRegistry }}{{ . | trimSuffix "/" }}/{{ end -}}
{{- end -}}

{{/* (dict "root" $ "repository" …) */}}
{{- define "warren.image" -}}
{{- include "warren.registry" .root }}{{ .repository }}:{{ default .root.Chart.AppVersion .root.Values.image.tag }}
{{- end -}}

{{/* An image that is named whole: its own registry gives way to the parent chart's. (dict "root" $ "image" …) */}}
{{- define "warren.otherImage" -}}
{{- with (.root.Values.global).imageRegistry }}{{ . | trimSuffix "/" }}/{{ regexReplaceAll "^([^/]*[.:][^/]*|localhost)/" $.image "" }}{{ else }}{{ .image }}{{ end -}}
{{- end -}}

{{/* The secrets for all registries, as [{name: …}]; a parent chart may give bare names. */}}
{{- define "warren.pullSecrets" -}}
{{- $secrets := list -}}
{{- range concat (default list (.Values.global).imagePullSecrets) .Values.image.pullSecrets -}}
{{- $secrets = append $secrets (ternary (dict "name" .) . (kindIs "string" .)) -}}
{{- end -}}
{{- with uniq $secrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Which families a Service has; nothing leaves it to the cluster. */}}
{{- define "warren.ipFamilies" -}}
{{- with .Values.ipFamilyPolicy }}
ipFamilyPolicy: {{ . }}
{{- end }}
{{- with .Values.ipFamilies }}
ipFamilies:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* "yes" where a kind can be made: the cluster knows it, or none is asked (`helm template`), and then what the values ask for is rendered.
A cluster names its kinds, Helm by itself only the groups. (dict "root" $ "group" "monitoring.coreos.com/v1" "kind" "PodMonitor") */}}
{{- define "warren.knows" -}}
{{- $versions := .root.Capabilities.APIVersions -}}
{{- if or (not ($versions.Has "v1/Pod")) ($versions.Has (printf "%s/%s" .group .kind)) }}yes{{ end -}}
{{- end -}}

{{/* A pod's user and groups; null leaves one out, for clusters that choose it themselves. (dict "user" … "group" … "fsGroup" …) */}}
{{- define "warren.podSecurity" -}}
runAsNonRoot: true
{{- range $name, $value := dict "runAsUser" .user "runAsGroup" .group "fsGroup" .fsGroup }}
{{- if not (kindIs "invalid" $value) }}
{{ $name }}: {{ int64 $value }}
{{- end }}
{{- end }}
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{/* The trial node's password: made at the first install, and the same ever after, for each template that asks in one render. */}}
{{- define "warren.trial.password" -}}
{{- $trial := .Values.rabbitmq.trial -}}
{{- if not (hasKey $trial "password") -}}
{{- $known := dig "data" "password" "" (default dict (lookup "v1" "Secret" .Release.Namespace (include "warren.rabbitmq.name" .))) | b64dec -}}
{{- $_ := set $trial "password" (default (randAlphaNum 32) $known) -}}
{{- end -}}
{{- $trial.password -}}
{{- end -}}

{{/* What changes when a secret does that pods read once at their start: pods carry it, so that they are then replaced. Of a secret that is
there already it is made of the keys that are read and of the object's uid, which only who may read the secret knows: so nobody can try
passwords against it. Without a cluster, or before the secret is there, it is that of nothing.
(dict "root" $ "secrets" (list (dict "name" … "keys" (list …)))) */}}
{{- define "warren.secrets.checksum" -}}
{{- $seen := list -}}
{{- if eq .root.Values.rabbitmq.mode "trial" -}}
{{- $seen = append $seen (include "warren.trial.password" .root) -}}
{{- end -}}
{{- range ternary .secrets list .root.Values.rolloutOnSecretChange -}}
{{- $found := default dict (and .name (lookup "v1" "Secret" $.root.Release.Namespace .name)) -}}
{{- $seen = append $seen (dig "metadata" "uid" "" $found) -}}
{{- range .keys }}{{ $seen = append $seen (dig "data" . "" $found) }}{{ end -}}
{{- end -}}
{{- toJson $seen | sha256sum -}}
{{- end -}}

{{/* The secrets of the broker, as the checksum takes them. */}}
{{- define "warren.rabbitmq.secrets" -}}
{{- $rabbitmq := .Values.rabbitmq -}}
{{- $secrets := list (dict "name" $rabbitmq.caSecret "keys" (list "ca.crt")) -}}
{{- if eq $rabbitmq.mode "external" -}}
{{- $secrets = append $secrets (dict "name" $rabbitmq.existingSecret "keys" (list $rabbitmq.urlKey)) -}}
{{- else if eq $rabbitmq.mode "operator" -}}
{{- $secrets = append $secrets (dict "name" (include "warren.rabbitmq.secret" .) "keys" (list "username" "password" "host" "port")) -}}
{{- end -}}
{{- toJson $secrets -}}
{{- end -}}

{{/* A value of any kind as text; whole numbers stay whole, however large. */}}
{{- define "warren.text" -}}
{{- if and (kindIs "float64" .) (eq (floor .) .) -}}{{ int64 . }}{{- else -}}{{ . }}{{- end -}}
{{- end -}}

{{/* A list as Warren reads it; "-" is the empty one. */}}
{{- define "warren.list" -}}
{{- if . }}{{ join "," . }}{{ else }}-{{ end -}}
{{- end -}}

{{- define "warren.gateway.grace" -}}
{{- $own := .Values.gateway.terminationGracePeriodSeconds -}}
{{- if kindIs "invalid" $own -}}{{ add .Values.gateway.drain.pauseSeconds .Values.gateway.drain.deadlineSeconds 10 }}{{- else -}}{{ int64 $own }}{{- end -}}
{{- end -}}

{{- define "warren.router.grace" -}}
{{- $own := .Values.router.terminationGracePeriodSeconds -}}
{{- if kindIs "invalid" $own -}}{{ add .Values.router.stopDeadlineSeconds 10 }}{{- else -}}{{ int64 $own }}{{- end -}}
{{- end -}}

{{- define "warren.rabbitmq.name" -}}
{{- if and (eq .Values.rabbitmq.mode "operator") .Values.rabbitmq.operator.name -}}
{{- .Values.rabbitmq.operator.name -}}
{{- else -}}
{{- include "warren.fullname" . }}-rabbitmq
{{- end -}}
{{- end -}}

{{- define "warren.rabbitmq.secret" -}}
{{- if eq .Values.rabbitmq.mode "external" -}}
{{- .Values.rabbitmq.existingSecret -}}
{{- else if eq .Values.rabbitmq.mode "operator" -}}
{{- include "warren.rabbitmq.name" . }}-default-user
{{- else -}}
{{- include "warren.rabbitmq.name" . }}
{{- end -}}
{{- end -}}

{{/* The most gateways that there are at once: those that are asked for, and the new ones of a rollout. */}}
{{- define "warren.gateway.most" -}}
{{- $own := .Values.gateway -}}
{{- $pods := ternary $own.replicas $own.autoscaling.maxReplicas (eq $own.autoscaling.kind "none") | int64 -}}
{{- $surge := toString $own.maxSurge -}}
{{- if hasSuffix "%" $surge -}}
{{- add $pods (div (add (mul $pods (trimSuffix "%" $surge | int64)) 99) 100) -}}
{{- else -}}
{{- add $pods (int64 $own.maxSurge) -}}
{{- end -}}
{{- end -}}

{{/* What the chart sets itself, and `settings` therefore must not. */}}
{{- define "warren.reserved" -}}
WARREN_GATEWAY_ID WARREN_GATEWAY_PORT WARREN_GATEWAY_INTERNAL_PORT WARREN_GATEWAY_STATS WARREN_GATEWAY_AUTH WARREN_GATEWAY_JWT_SECRET WARREN_GATEWAY_JWT_SECRET_FILE WARREN_GATEWAY_JWT_PUBLIC_KEY WARREN_GATEWAY_JWT_PUBLIC_KEY_FILE WARREN_GATEWAY_JWKS WARREN_GATEWAY_JWT_ALGORITHMS WARREN_GATEWAY_JWT_AUDIENCE WARREN_GATEWAY_JWT_ISSUER WARREN_GATEWAY_JWT_REQUIRE_EXPIRY WARREN_GATEWAY_GRANT_KEYS WARREN_GATEWAY_GRANT_KEYS_FILE WARREN_GATEWAY_CONNECTIONS WARREN_GATEWAY_ROOMS WARREN_GATEWAY_ORIGINS WARREN_GATEWAY_TRUSTED_PROXIES WARREN_GATEWAY_ECHO WARREN_GATEWAY_DRAIN_MS WARREN_GATEWAY_DRAIN_DEADLINE_MS WARREN_ROUTER_ID WARREN_ROUTER_INTERNAL_PORT WARREN_ROUTER_STOP_DEADLINE_MS WARREN_ROUTER_EVENTS WARREN_ROUTER_API_PORT WARREN_ROUTER_API_KEYS_FILE WARREN_ROUTER_API_ADMIN WARREN_PUSHER_APPS_FILE
{{- end -}}

{{/* The environment that both services read. (dict "root" $ "component" "gateway") */}}
{{- define "warren.env" -}}
{{- $root := .root -}}
{{- $values := $root.Values -}}
{{- if eq $values.rabbitmq.mode "operator" }}
{{- /* Every version of the operator gives these four keys; their values need no quoting in an address. */}}
{{- range $key := list "username" "password" "host" "port" }}
- name: AMQP_{{ upper $key }}
  valueFrom: {secretKeyRef: {name: {{ include "warren.rabbitmq.secret" $root }}, key: {{ $key }}}}
{{- end }}
- name: WARREN_AMQP_URL
  value: {{ printf "%s://$(AMQP_USERNAME):$(AMQP_PASSWORD)@$(AMQP_HOST):$(AMQP_PORT)/" (ternary "amqps" "amqp" (not (empty $values.rabbitmq.operator.tlsSecretName))) }}
{{- else }}
- name: WARREN_AMQP_URL_FILE
  value: /etc/warren/amqp/url
{{- end }}
{{- if $values.rabbitmq.caSecret }}
- name: WARREN_AMQP_CA_FILE
  value: /etc/warren/amqp-ca/ca.crt
{{- end }}
- name: WARREN_AMQP_HEARTBEAT_S
  value: {{ $values.rabbitmq.heartbeatSeconds | quote }}
- name: WARREN_PREFIX
  value: {{ $values.prefix | quote }}
- name: WARREN_SHARDS
  value: {{ $values.shards | quote }}
- name: WARREN_BROKER_LOG_BYTES
  value: {{ include "warren.text" $values.logBytes | quote }}
- name: WARREN_LOG_LEVEL
  value: {{ $values.logLevel }}
{{- if include "warren.rules" $root }}
- name: WARREN_NAMESPACES_FILE
  value: /etc/warren/config/namespaces.yaml
{{- end }}
{{- if $values.pusher.existingSecret }}
- name: WARREN_PUSHER_APPS_FILE
  value: /etc/warren/pusher/apps.yaml
{{- end }}
{{- /* An id has at most 48 characters, and a pod's name 25 more than the release's. */}}
{{- if le (len (include "warren.fullname" $root)) 23 }}
- name: WARREN_{{ upper .component }}_ID
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
{{- end }}
{{- with $values.tracing }}
{{- if .endpoint }}
- name: POD_NAME
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
- name: POD_NAMESPACE
  valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
- name: OTEL_RESOURCE_ATTRIBUTES
  value: k8s.pod.name=$(POD_NAME),k8s.namespace.name=$(POD_NAMESPACE)
- name: OTEL_EXPORTER_OTLP_ENDPOINT
  value: {{ .endpoint | quote }}
{{- with .sampler }}
- name: OTEL_TRACES_SAMPLER
  value: {{ . }}
{{- end }}
{{- if ne (toString .samplerArg) "" }}
- name: OTEL_TRACES_SAMPLER_ARG
  value: {{ .samplerArg | quote }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "warren.settings" -}}
{{- range $name, $value := . }}
- name: {{ $name }}
  value: {{ include "warren.text" $value | quote }}
{{- end }}
{{- end -}}

{{/* The namespace file: its lists that are given; nothing where none is. */}}
{{- define "warren.rules" -}}
{{- range $name := list "namespaces" "services" "hooks" }}
{{- with index $.Values $name }}
{{ $name }}:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "warren.configured" -}}
{{- if or (include "warren.rules" .) .Values.gateway.auth.publicKey }}yes{{ end -}}
{{- end -}}

{{/* How a pod of either component is placed and run. (dict "root" $ "component" "gateway" "own" .Values.gateway) */}}
{{- define "warren.placement" -}}
serviceAccountName: {{ include "warren.serviceAccount" .root }}
automountServiceAccountToken: false
# A Service's name must not become a WARREN_… variable.
enableServiceLinks: false
{{- with include "warren.pullSecrets" .root | trim }}
{{ . }}
{{- end }}
{{- $security := .root.Values.podSecurityContext }}
securityContext:
  {{- include "warren.podSecurity" (dict "user" $security.runAsUser "group" $security.runAsGroup "fsGroup" $security.fsGroup) | nindent 2 }}
{{- with .own.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .own.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .own.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .own.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- if .own.topologySpread }}
topologySpreadConstraints:
  {{- range .own.topologySpread }}
  - labelSelector:
      matchLabels:
        {{- include "warren.selector" (dict "root" $.root "component" $.component) | nindent 8 }}
    {{- /* Each version's pods are spread by themselves, or a rollout ends lopsided. */}}
    {{- if semverCompare ">=1.27-0" $.root.Capabilities.KubeVersion.Version }}
    matchLabelKeys: [pod-template-hash]
    {{- end }}
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
{{- end -}}

{{- define "warren.hardened" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{- define "warren.probes" -}}
# Whether the loop turns. A broker that is away must not restart pods, so it is not asked here.
livenessProbe:
  httpGet: {path: /healthz, port: internal}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
# Whether the broker is there and the pod takes work.
readinessProbe:
  httpGet: {path: /readyz, port: internal}
  periodSeconds: 2
  timeoutSeconds: 2
  failureThreshold: 2
startupProbe:
  httpGet: {path: /healthz, port: internal}
  periodSeconds: 1
  timeoutSeconds: 2
  failureThreshold: 60
{{- end -}}

{{/* "secrets" are those that a component reads besides the broker's: the volume, the secret's name (empty: none), its key and the file's name.
(dict "root" $ "own" .Values.gateway "secrets" (list (dict "volume" "jwt" "name" … "key" … "path" …))) */}}
{{- define "warren.mounts" -}}
{{- if ne .root.Values.rabbitmq.mode "operator" }}
- {name: amqp, mountPath: /etc/warren/amqp, readOnly: true}
{{- end }}
{{- if .root.Values.rabbitmq.caSecret }}
- {name: amqp-ca, mountPath: /etc/warren/amqp-ca, readOnly: true}
{{- end }}
{{- if include "warren.configured" .root }}
- {name: config, mountPath: /etc/warren/config, readOnly: true}
{{- end }}
{{- range .secrets }}
{{- if .name }}
- {name: {{ .volume }}, mountPath: /etc/warren/{{ .volume }}, readOnly: true}
{{- end }}
{{- end }}
{{- with .own.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "warren.volumes" -}}
{{- if ne .root.Values.rabbitmq.mode "operator" }}
- name: amqp
  secret:
    secretName: {{ include "warren.rabbitmq.secret" .root }}
    items: [{key: {{ ternary .root.Values.rabbitmq.urlKey "url" (eq .root.Values.rabbitmq.mode "external") }}, path: url}]
{{- end }}
{{- with .root.Values.rabbitmq.caSecret }}
- name: amqp-ca
  secret:
    secretName: {{ . }}
    items: [{key: ca.crt, path: ca.crt}]
{{- end }}
{{- if include "warren.configured" .root }}
- name: config
  configMap: {name: {{ include "warren.fullname" .root }}}
{{- end }}
{{- range .secrets }}
{{- if .name }}
- name: {{ .volume }}
  secret:
    secretName: {{ .name }}
    items: [{key: {{ .key }}, path: {{ .path }}}]
{{- end }}
{{- end }}
{{- with .own.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}
