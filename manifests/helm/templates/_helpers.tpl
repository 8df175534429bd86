{{- /* An image by digest where there is one, else by tag: (list . "node") */ -}}
{{- define "weir.image" -}}
{{- $root := index . 0 }}{{ $part := index . 1 }}{{ $images := $root.Values.images -}}
{{- with $images.registry }}{{ . }}/{{ end }}weir-{{ $part -}}
{{- $digest := index $images.digests $part -}}
{{- if $digest }}@{{ $digest }}{{ else }}:{{ $images.tag }}{{ end -}}
{{- end }}

{{- define "weir.pullSecrets" -}}
{{- with .Values.images.pullSecrets }}
imagePullSecrets:
{{- toYaml . | nindent 0 }}
{{- end }}
{{- end }}

{{- /* What differs by platform. */ -}}
{{- define "weir.socketDirectory" -}}
{{- $own := dict "antrea" "/var/run/antrea/openvswitch" -}}
{{- .Values.node.socketDirectory | default (index $own .Values.platform | default "/var/run/openvswitch") -}}
{{- end }}

{{- define "weir.socketOwner" -}}
{{- if eq .Values.platform "kube-ovn" }}65534{{ else }}0{{ end -}}
{{- end }}

{{- /* Objects of a file of the manifests, as they are there, with the label that kustomize adds. */ -}}
{{- define "weir.static" -}}
{{- range splitList "\n---\n" . }}
{{- $object := fromYaml . }}
{{- $labels := $object.metadata.labels | default dict }}
{{- $_ := set $labels "app.kubernetes.io/part-of" "weir" }}
{{- $_ := set $object.metadata "labels" $labels }}
---
{{ toYaml $object }}
{{- end }}
{{- end }}
