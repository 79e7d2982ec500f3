{{- /* Of the container: what the restricted Pod Security Standard asks for, and a root file system that nobody writes to. */}}
{{- define "nodeport-lb.securityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{- /* Of the pod. The user is the image's, a number, so that a cluster that hands out users of its own may do so. */}}
{{- define "nodeport-lb.podSecurityContext" -}}
runAsNonRoot: true
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- /* What every pod of ours has. The variable is for `kubectl exec` too: status, url and gc read the same file. */}}
{{- define "nodeport-lb.podBasics" -}}
serviceAccountName: {{ include "nodeport-lb.serviceAccountName" . }}
automountServiceAccountToken: true
enableServiceLinks: false
securityContext:
  {{- include "nodeport-lb.podSecurityContext" . | nindent 2 }}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
volumes:
  - name: config
    configMap:
      name: {{ include "nodeport-lb.fullname" . }}
  {{- with .Values.extraVolumes }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}

{{- define "nodeport-lb.containerBasics" -}}
image: {{ include "nodeport-lb.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  {{- include "nodeport-lb.securityContext" . | nindent 2 }}
env:
  - name: NODEPORT_LB_CONFIG
    value: /etc/nodeport-lb/config.yaml
  {{- if .Values.forwarder.namespace }}
  - name: NODEPORT_LB_LOCAL_AGENTS_NAMESPACE
    value: {{ .Values.forwarder.namespace }}
  {{- end }}
  {{- with .Values.extraEnv }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
volumeMounts:
  - name: config
    mountPath: /etc/nodeport-lb
    readOnly: true
  {{- with .Values.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
