// Answers, with the matcher of cyclonus, whether policies allow connections. Each line of the
// input is {"objects": [Namespace, Pod, NetworkPolicy…], "calls": [[client, server, protocol,
// port]…]}, where an end is namespace/pod or an address; each line of the output has a 1 (allowed)
// or a 0 for each call.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/mattfenwick/cyclonus/pkg/matcher"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
)

type world struct {
	namespaces map[string]map[string]string
	pods       map[string]core.Pod
	policy     *matcher.Policy
}

type question struct {
	Objects []json.RawMessage
	Calls   [][4]any
}

func read(objects []json.RawMessage) (world, error) {
	found := world{map[string]map[string]string{}, map[string]core.Pod{}, nil}
	var policies []*networking.NetworkPolicy
	for _, object := range objects {
		var kind struct{ Kind string }
		if err := json.Unmarshal(object, &kind); err != nil {
			return found, err
		}
		var err error
		switch kind.Kind {
		case "Namespace":
			var namespace core.Namespace
			err = json.Unmarshal(object, &namespace)
			found.namespaces[namespace.Name] = namespace.Labels
		case "Pod":
			var pod core.Pod
			err = json.Unmarshal(object, &pod)
			found.pods[pod.Namespace+"/"+pod.Name] = pod
		case "NetworkPolicy":
			var policy networking.NetworkPolicy
			err = json.Unmarshal(object, &policy)
			policies = append(policies, &policy)
		default:
			err = fmt.Errorf("what is a %q?", kind.Kind)
		}
		if err != nil {
			return found, err
		}
	}
	found.policy = matcher.BuildNetworkPolicies(false, policies)
	return found, nil
}

func (world world) end(name string) *matcher.TrafficPeer {
	pod, isPod := world.pods[name]
	if !isPod {
		return &matcher.TrafficPeer{IP: name}
	}
	return &matcher.TrafficPeer{
		IP: pod.Status.PodIP,
		Internal: &matcher.InternalPeer{
			PodLabels:       pod.Labels,
			NamespaceLabels: world.namespaces[pod.Namespace],
			Namespace:       pod.Namespace,
		},
	}
}

// names are those that the server's pod has for a port, and none.
func (world world) names(server string, protocol core.Protocol, port int) []string {
	names := []string{""}
	for _, container := range world.pods[server].Spec.Containers {
		for _, declared := range container.Ports {
			if declared.Protocol == protocol && int(declared.ContainerPort) == port {
				names = append(names, declared.Name)
			}
		}
	}
	return names
}

func (world world) allows(client, server string, protocol core.Protocol, port int) bool {
	traffic := matcher.Traffic{
		Source:       world.end(client),
		Destination:  world.end(server),
		ResolvedPort: port,
		Protocol:     protocol,
	}
	some := func(isIngress bool) bool {
		for _, name := range world.names(server, protocol, port) {
			traffic.ResolvedPortName = name
			if world.policy.IsIngressOrEgressAllowed(&traffic, isIngress).IsAllowed() {
				return true
			}
		}
		return false
	}
	return some(false) && some(true)
}

func answer(line []byte) (string, error) {
	var asked question
	if err := json.Unmarshal(line, &asked); err != nil {
		return "", err
	}
	world, err := read(asked.Objects)
	if err != nil {
		return "", err
	}
	var answers strings.Builder
	for _, call := range asked.Calls {
		client, server, protocol := call[0].(string), call[1].(string), call[2].(string)
		if world.allows(client, server, core.Protocol(protocol), int(call[3].(float64))) {
			answers.WriteByte('1')
		} else {
			answers.WriteByte('0')
		}
	}
	return answers.String(), nil
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		answers, err := answer(lines.Bytes())
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Println(answers)
	}
}
