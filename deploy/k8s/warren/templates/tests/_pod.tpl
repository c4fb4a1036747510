{{/* A pod of `helm test`: a script run by the gateway's image. (dict "root" $ "name" … "file" … "env" (list …) "secret" …) */}}
{{- define "warren.test" -}}
{{- $root := .root -}}
apiVersion: v1
kind: Pod
metadata:
  name: {{ include "warren.fullname" $root }}-test-{{ .name }}
  labels:
    {{- include "warren.labels" (dict "root" $root "component" "test") | nindent 4 }}
  {{- /* A pod that failed stays, to be looked at. */}}
  {{- include "warren.annotations" (dict "root" $root "own" (dict
    "helm.sh/hook" "test"
    "helm.sh/hook-delete-policy" "before-hook-creation,hook-succeeded"
    "helm.sh/hook-output-log-policy" "hook-succeeded,hook-failed"
  )) | trim | nindent 2 }}
spec:
  restartPolicy: Never
  terminationGracePeriodSeconds: 1
  activeDeadlineSeconds: 120
  {{- include "warren.placement" (dict "root" $root "component" "test" "own" (dict "nodeSelector" $root.Values.gateway.nodeSelector "tolerations" $root.Values.gateway.tolerations)) | nindent 2 }}
  containers:
    - name: {{ .name }}
      image: {{ include "warren.image" (dict "root" $root "repository" $root.Values.gateway.image.repository) }}
      imagePullPolicy: {{ $root.Values.image.pullPolicy }}
      command: [python, -c]
      args:
        - |
          {{- $root.Files.Get (printf "files/%s" .file) | nindent 10 }}
      env:
        {{- toYaml .env | nindent 8 }}
      resources:
        requests: {cpu: 10m, memory: 64Mi}
        limits: {memory: 256Mi}
      securityContext:
        {{- include "warren.hardened" $root | nindent 8 }}
      {{- with .secret }}
      volumeMounts:
        - {name: secret, mountPath: /etc/warren/test, readOnly: true}
  volumes:
    - name: secret
      secret:
        secretName: {{ .name }}
        items: [{key: {{ .key }}, path: {{ .path }}}]
      {{- end }}
{{- end -}}
