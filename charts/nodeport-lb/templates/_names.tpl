{{- define "nodeport-lb.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "nodeport-lb.fullname" -}}
{{- $name := include "nodeport-lb.name" . }}
{{- $full := contains $name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name $name) }}
{{- default $full .Values.fullnameOverride | trunc 50 | trimSuffix "-" }}
{{- end }}

{{- /* Of what stands outside the release's namespace, so that releases of one name in several namespaces do not meet. */}}
{{- define "nodeport-lb.farName" -}}
{{- printf "%s:%s" .Release.Namespace (include "nodeport-lb.fullname" .) }}
{{- end }}

{{- define "nodeport-lb.selectorLabels" -}}
app.kubernetes.io/name: {{ include "nodeport-lb.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "nodeport-lb.labels" -}}
{{ include "nodeport-lb.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "nodeport-lb.serviceAccountName" -}}
{{- default (include "nodeport-lb.fullname" .) .Values.serviceAccount.name }}
{{- end }}

{{- define "nodeport-lb.image" -}}
{{- with .Values.image }}
{{- if .digest }}{{ .repository }}@{{ .digest }}{{ else }}{{ .repository }}:{{ default $.Chart.AppVersion .tag }}{{ end }}
{{- end }}
{{- end }}

{{- /* The port of `http`; empty: off. */}}
{{- define "nodeport-lb.httpPort" -}}
{{- regexFind "[0-9]+$" (toString .Values.http) }}
{{- end }}

{{- /*
One for each release, whatever its values: while a rollout changes `namespaces` or the class, the old pod and the new one take
turns, and releases side by side do not wait for each other.
*/}}
{{- define "nodeport-lb.leaseName" -}}
{{- default (include "nodeport-lb.fullname" .) .Values.leaderElectName }}
{{- end }}

{{- define "nodeport-lb.leaseNamespace" -}}
{{- default .Release.Namespace .Values.leaderElectNamespace }}
{{- end }}

{{- /* Not empty: the Lease is used. A dry run writes nothing and stands for nothing. */}}
{{- define "nodeport-lb.usesLease" -}}
{{- if and .Values.leaderElect (not .Values.dryRun) }}yes{{ end }}
{{- end }}

{{- /* Where controller and agents keep what they tell each other, and where the agents run. */}}
{{- define "nodeport-lb.agentsNamespace" -}}
{{- default .Release.Namespace .Values.forwarder.namespace }}
{{- end }}

{{- /* As src/agent/names.ts has it. */}}
{{- define "nodeport-lb.agentGroup" -}}
{{- if eq .Values.loadBalancerClass "nodeport-lb.io/lb" -}}
nodeport-lb
{{- else -}}
nodeport-lb-{{ regexReplaceAll "[^a-z0-9.-]+" (lower .Values.loadBalancerClass) "-" | trunc 150 }}
{{- end }}
{{- end }}

{{- define "nodeport-lb.agentAccount" -}}
{{- default (printf "%s-forwarder" (include "nodeport-lb.fullname" .)) .Values.forwarder.serviceAccountName }}
{{- end }}

{{- /* Not empty: agents run on the nodes. */}}
{{- define "nodeport-lb.runsAgents" -}}
{{- $enabled := toString .Values.forwarder.enabled }}
{{- if or (eq $enabled "true") (and (eq $enabled "auto") (eq .Values.provider "local")) }}yes{{ end }}
{{- end }}
