{{/*
What the names of all objects begin with: at most 30 characters, so that the longest name of a pod
(a component of 15 more, and 17 that Kubernetes adds) fits into the 63 of a host name. A name that
has to be cut ends in a hash of the whole one, so that two long ones stay two.
*/}}
{{- define "threadsagent.fullname" -}}
{{- $name := .Values.fullnameOverride -}}
{{- if not $name -}}
{{- $name = contains .Chart.Name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name .Chart.Name) -}}
{{- end -}}
{{- if gt (len $name) 30 -}}
{{- $name = printf "%s-%s" (trunc 23 $name | trimSuffix "-") (sha256sum $name | trunc 6) -}}
{{- end -}}
{{- $name -}}
{{- end }}

{{/* Labels of an object. Takes (list $ component). */}}
{{- define "threadsagent.labels" -}}
{{- $ := first . -}}
{{ include "threadsagent.selector" . }}
app.kubernetes.io/version: {{ $.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $.Chart.Name $.Chart.Version | replace "+" "_" }}
{{- end }}

{{/* Labels that find the pods of a component; they never change. Takes (list $ component). */}}
{{- define "threadsagent.selector" -}}
{{- $ := first . -}}
app.kubernetes.io/name: {{ $.Chart.Name }}
app.kubernetes.io/instance: {{ $.Release.Name }}
app.kubernetes.io/component: {{ last . }}
{{- end }}

{{- define "threadsagent.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end -}}
{{- end -}}
{{- end }}

{{/* The Secret that the pods read: the one that is named, or the chart's own. */}}
{{- define "threadsagent.secretName" -}}
{{ .Values.secret.existing | default (include "threadsagent.fullname" .) }}
{{- end }}

{{/*
When the database is reachable before anything is installed, it is migrated before anything is
changed (a hook); see migrations.yaml. "true" or nothing.
*/}}
{{- define "threadsagent.hook" -}}
{{- if not .Values.bundled.enabled }}true{{ end -}}
{{- end }}

{{/* Annotations of what a migration before the release needs. Takes (list $ weight). */}}
{{- define "threadsagent.hookAnnotations" -}}
helm.sh/hook: pre-install,pre-upgrade
helm.sh/hook-weight: {{ last . | quote }}
# What a failed migration leaves stays, to be looked at, until the next one.
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end }}

{{/* What every pod has. Takes (list $ component); the containers' part is below. */}}
{{- define "threadsagent.pod" -}}
{{- $ := first . -}}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  seccompProfile:
    type: RuntimeDefault
{{- with $.Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- include "threadsagent.placement" $ }}
{{- end }}

{{- define "threadsagent.placement" -}}
{{- with .Values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end }}

{{/* The copies of a component stand apart, where there is room. Takes (list $ component). */}}
{{- define "threadsagent.spread" -}}
topologySpreadConstraints:
  {{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
  - topologyKey: {{ . }}
    maxSkew: 1
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: {{- include "threadsagent.selector" $ | nindent 8 }}
    matchLabelKeys: [pod-template-hash]
  {{- end }}
{{- end }}

{{/* What every container of the image has. */}}
{{- define "threadsagent.container" -}}
image: {{ include "threadsagent.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext: {{- include "threadsagent.containerSecurity" . | nindent 2 }}
{{- end }}

{{- define "threadsagent.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{/* Names of the secrets that the pods read, with commas between. */}}
{{- define "threadsagent.secretNames" -}}
{{- if .Values.secret.existing -}}
{{- join "," .Values.secret.keys -}}
{{- else -}}
{{- include "threadsagent.secretValues" . | fromYaml | keys | sortAlpha | join "," -}}
{{- end -}}
{{- end }}

{{/*
Settings as variables, and for each secret the variable that names its file: what stands in the
environment is inherited by every child process. More variables may follow. Takes (list $ settings).
*/}}
{{- define "threadsagent.env" -}}
envFrom:
  - configMapRef:
      name: {{ last . }}
env:
  {{- range splitList "," (include "threadsagent.secretNames" (first .)) }}
  - name: {{ . }}_FILE
    value: /run/secrets/threadsagent/{{ . }}
  {{- end }}
{{- end }}

{{/* `/tmp` is the one place that every process may write to. More mounts may follow. */}}
{{- define "threadsagent.mounts" -}}
volumeMounts:
  - name: tmp
    mountPath: /tmp
  - name: secrets
    mountPath: /run/secrets/threadsagent
    readOnly: true
{{- end }}

{{/* Takes (list $ secret). */}}
{{- define "threadsagent.volumes" -}}
volumes:
  - name: tmp
    emptyDir:
      sizeLimit: 1Gi
  - name: secrets
    secret:
      secretName: {{ last . }}
      defaultMode: 0440
      items:
        {{- range splitList "," (include "threadsagent.secretNames" (first .)) }}
        - {key: {{ . }}, path: {{ . }}}
        {{- end }}
{{- end }}

{{/* Each pod has a folder of its own in which its processes count; Prometheus adds the pods up. */}}
{{- define "threadsagent.metricsEnv" -}}
- name: PROMETHEUS_MULTIPROC_DIR
  value: /run/metrics
{{- end }}

{{- define "threadsagent.metricsMount" -}}
- name: metrics
  mountPath: /run/metrics
{{- end }}

{{- define "threadsagent.metricsVolume" -}}
- name: metrics
  emptyDir:
    sizeLimit: 256Mi
{{- end }}

{{/* Pods begin anew when what they have read at their start has changed. */}}
{{- define "threadsagent.checksums" -}}
checksum/settings: {{ include "threadsagent.settings" . | sha256sum }}
{{- if not .Values.secret.existing }}
checksum/secret: {{ include "threadsagent.secretValues" . | sha256sum }}
{{- end }}
{{- end }}

{{/*
With services of a trial nothing orders the pods after the migration, so they wait for it
themselves. Elsewhere the hook has done it before they begin.
*/}}
{{- define "threadsagent.waitForMigrations" -}}
{{- if .Values.bundled.enabled }}
initContainers:
  - name: wait-for-migrations
    {{- include "threadsagent.container" . | nindent 4 }}
    command: [sh, -c, "until python manage.py migrate --check; do sleep 2; done"]
    {{- include "threadsagent.env" (list . (include "threadsagent.fullname" .)) | nindent 4 }}
    resources: {{- toYaml .Values.migrations.resources | nindent 6 }}
    {{- include "threadsagent.mounts" . | nindent 4 }}
{{- end }}
{{- end }}

{{- define "threadsagent.webAddress" -}}
http://{{ include "threadsagent.fullname" . }}-web:8000
{{- end }}

{{/*
How many seconds each component is given to end what it has begun. None is lost if it takes
longer: rows stay claimed for a while and are then taken up by others, and a message that was being
sent becomes *unknown* and is settled. But that takes minutes, so there is enough time for all
that is usual. PROCESSING_TIMEOUT bounds every wait for a platform.

web: `preStop` 10 (the load balancer learns that the pod ends), gunicorn's graceful timeout of
     PROCESSING_TIMEOUT and 10, and 5 to end.
poll: ends after PROCESSING_TIMEOUT, or with a poll begun just before, which takes as long again.
send: a task sends up to 100 messages. A platform answers within a second, or the call ends after
      30, and the account then pauses.
default: a task tells up to 10 batches of webhooks, each within ten seconds.
analyze: one batch, some seconds.
Takes (list $ component).
*/}}
{{- define "threadsagent.graceSeconds" -}}
{{- $platform := index (first .).Values.settings "PROCESSING_TIMEOUT" | default 30 | int -}}
{{- get (dict "web" (add 25 $platform) "poll" (add 15 (mul 2 $platform)) "send" 130 "default" 130 "analyze" 60) (last .) -}}
{{- end }}
