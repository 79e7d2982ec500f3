{{- /* The program's configuration file: each value that is a flag of the controller, unless it is empty. */}}
{{- define "nodeport-lb.config" -}}
{{- range $key := list
  "provider"
  "providerOptions"
  "clusterName"
  "loadBalancerClass"
  "claimUnsetClass"
  "namespaces"
  "leaderElect"
  "leaderElectNamespace"
  "leaderElectName"
  "leaderElectLeaseDuration"
  "nodeAddressTypes"
  "http"
  "dryRun"
  "shareAcrossNamespaces"
  "logLevel"
  "localPools"
  "localDatapath"
  "localForwarder"
  "localPortFallback"
  "awsRegion"
  "awsVpcId"
  "awsDefaultScheme"
  "awsApiThrottle"
}}
{{- $value := index $.Values $key }}
{{- if and (eq $key "leaderElectName") (include "nodeport-lb.usesLease" $) }}
{{- $value = include "nodeport-lb.leaseName" $ }}
{{- end }}
{{- if or $value (kindIs "bool" $value) }}
{{ $key }}: {{ toJson $value }}
{{- end }}
{{- end }}
{{- end }}
