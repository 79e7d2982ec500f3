{{- /*
The rights of the program, by what they are for. Together they are the calls of src/kube/api.ts, no more and no less:
test/charts/rights.test.ts reads both.
*/}}

{{- /* Where Services are: for the controller, and for the agents. */}}
{{- define "nodeport-lb.rights.services" -}}
- apiGroups: [""]
  resources: [services]
  verbs: [list, watch]
{{- end }}

{{- /* For `kubectl exec … nodeport-lb status NAMESPACE/NAME`. */}}
{{- define "nodeport-lb.rights.stories" -}}
- apiGroups: [""]
  resources: [services]
  verbs: [get]
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [list]
{{- end }}

{{- /* Where Services under policy Local have endpoints, for whoever has forwarders of provider local or is one. */}}
{{- define "nodeport-lb.rights.endpoints" -}}
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [list, watch]
{{- end }}

{{- define "nodeport-lb.rights.status" -}}
- apiGroups: [""]
  resources: [services/status]
  verbs: [patch]
{{- end }}

{{- define "nodeport-lb.rights.events" -}}
- apiGroups: [""]
  resources: [events]
  verbs: [create, patch]
{{- end }}

{{- define "nodeport-lb.rights.nodes" -}}
- apiGroups: [""]
  resources: [nodes]
  verbs: [list, watch]
{{- end }}

{{- /* Other balancer controllers are known by what they run, and by their Lease in kube-system (claimUnsetClass: auto). */}}
{{- define "nodeport-lb.rights.rivals" -}}
- apiGroups: [apps]
  resources: [daemonsets, deployments]
  verbs: [list]
{{- end }}

{{- define "nodeport-lb.rights.rivalLease" -}}
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  resourceNames: [cloud-controller-manager]
  verbs: [list]
{{- end }}

{{- /* Who may create may create any: Kubernetes knows no name before there is an object. */}}
{{- define "nodeport-lb.rights.lease" -}}
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  resourceNames: [{{ include "nodeport-lb.leaseName" . }}]
  verbs: [get, watch, update]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [create]
{{- end }}

{{- /* The controller, where agents report: what they say, whether they live, and what all of them are told. */}}
{{- define "nodeport-lb.rights.reports" -}}
- apiGroups: [""]
  resources: [configmaps]
  verbs: [list, watch]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [list, watch]
{{- end }}

{{- define "nodeport-lb.rights.orders" -}}
- apiGroups: [""]
  resources: [configmaps]
  resourceNames: [{{ include "nodeport-lb.agentGroup" . }}-orders]
  verbs: [get, update]
- apiGroups: [""]
  resources: [configmaps]
  verbs: [create]
{{- end }}

{{- /* An agent, in its own namespace: one ServiceAccount has all agents, so that the names of their objects cannot be told apart. */}}
{{- define "nodeport-lb.rights.agent" -}}
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get, list, watch, create, update]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [get, create, update]
{{- end }}

{{- /* A role and its binding. Called with root, kind (Role or ClusterRole), name, namespace and rules; of an agent also with account. */}}
{{- define "nodeport-lb.role" }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ .kind }}
metadata:
  name: {{ .name }}
  {{- with .namespace }}
  namespace: {{ . }}
  {{- end }}
  labels:
    {{- include "nodeport-lb.labels" .root | nindent 4 }}
rules:
  {{- range .rules }}
  {{- include (printf "nodeport-lb.rights.%s" .) $.root | nindent 2 }}
  {{- end }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ .kind }}Binding
metadata:
  name: {{ .name }}
  {{- with .namespace }}
  namespace: {{ . }}
  {{- end }}
  labels:
    {{- include "nodeport-lb.labels" .root | nindent 4 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: {{ .kind }}
  name: {{ .name }}
subjects:
  - kind: ServiceAccount
    {{- if .account }}
    name: {{ .account }}
    namespace: {{ include "nodeport-lb.agentsNamespace" .root }}
    {{- else }}
    name: {{ include "nodeport-lb.serviceAccountName" .root }}
    namespace: {{ .root.Release.Namespace }}
    {{- end }}
{{- end }}
