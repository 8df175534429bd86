// Command chart renders the chart of manifests/helm with the template engine that helm is
// built on, and compares lists of objects. It knows the functions that the chart uses and
// no others, so that it is built in seconds; scripts/test-chart --helm takes helm itself.
//
//	chart render DIRECTORY [KEY=VALUE]...   the objects, a YAML document each
//	chart compare FILE FILE                 fails when the objects are not the same
package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"text/template"

	"sigs.k8s.io/yaml"
)

func main() {
	if len(os.Args) < 3 {
		fail(fmt.Errorf("usage: chart render DIRECTORY [KEY=VALUE]... | chart compare FILE FILE"))
	}
	var err error
	switch os.Args[1] {
	case "render":
		err = render(os.Args[2], os.Args[3:])
	case "compare":
		err = compare(os.Args[2], os.Args[3])
	default:
		err = fmt.Errorf("no such command: %s", os.Args[1])
	}
	if err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "chart:", err)
	os.Exit(1)
}

// files are the chart's own, as templates see them.
type files string

// Get is the content of a file, or nothing.
func (directory files) Get(name string) string {
	content, _ := os.ReadFile(filepath.Join(string(directory), name))
	return string(content)
}

func render(directory string, settings []string) error {
	text, err := os.ReadFile(filepath.Join(directory, "values.yaml"))
	if err != nil {
		return err
	}
	var values map[string]any
	if err := yaml.Unmarshal(text, &values); err != nil {
		return err
	}
	for _, setting := range settings {
		if err := set(values, setting); err != nil {
			return err
		}
	}
	templates := template.New("chart")
	templates.Funcs(functions(templates))
	names, err := filepath.Glob(filepath.Join(directory, "templates", "*"))
	if err != nil {
		return err
	}
	for _, name := range names {
		content, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		if _, err := templates.New(filepath.Base(name)).Parse(string(content)); err != nil {
			return err
		}
	}
	top := map[string]any{"Values": values, "Files": files(directory)}
	for _, name := range names {
		if strings.HasPrefix(filepath.Base(name), "_") {
			continue
		}
		fmt.Println("---")
		if err := templates.ExecuteTemplate(os.Stdout, filepath.Base(name), top); err != nil {
			return err
		}
	}
	crds, err := filepath.Glob(filepath.Join(directory, "crds", "*.yaml"))
	for _, name := range crds {
		content, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		fmt.Printf("---\n%s", content)
	}
	return err
}

// set changes a value that is there: a.b=c.
func set(values map[string]any, setting string) error {
	path, value, _ := strings.Cut(setting, "=")
	keys := strings.Split(path, ".")
	for _, key := range keys[:len(keys)-1] {
		inner, ok := values[key].(map[string]any)
		if !ok {
			return fmt.Errorf("no value %s", path)
		}
		values = inner
	}
	last := keys[len(keys)-1]
	if _, there := values[last]; !there {
		return fmt.Errorf("no value %s", path)
	}
	var parsed any
	if err := yaml.Unmarshal([]byte(value), &parsed); err != nil {
		return err
	}
	values[last] = parsed
	return nil
}

// functions are those of helm's that the chart uses.
func functions(templates *template.Template) template.FuncMap {
	return template.FuncMap{
		"include": func(name string, data any) (string, error) {
			var text bytes.Buffer
			err := templates.ExecuteTemplate(&text, name, data)
			return text.String(), err
		},
		"toYaml": func(value any) (string, error) {
			text, err := yaml.Marshal(value)
			return strings.TrimSuffix(string(text), "\n"), err
		},
		"nindent": func(spaces int, text string) string {
			pad := strings.Repeat(" ", spaces)
			return "\n" + pad + strings.ReplaceAll(text, "\n", "\n"+pad)
		},
		"quote": func(value any) string { return strconv.Quote(fmt.Sprint(value)) },
		"default": func(other, value any) any {
			if value == nil || value == "" {
				return other
			}
			return value
		},
		"fail": func(why string) (string, error) { return "", fmt.Errorf("%s", why) },
		"list": func(items ...any) []any { return items },
		"dict": func(pairs ...string) map[string]any {
			made := map[string]any{}
			for i := 0; i+1 < len(pairs); i += 2 {
				made[pairs[i]] = pairs[i+1]
			}
			return made
		},
		"set": func(values map[string]any, key string, value any) map[string]any {
			values[key] = value
			return values
		},
		"splitList": func(separator, text string) []string { return strings.Split(text, separator) },
		"fromYaml": func(text string) (map[string]any, error) {
			var object map[string]any
			err := yaml.Unmarshal([]byte(text), &object)
			return object, err
		},
		"ternary": func(yes, no any, which bool) any {
			if which {
				return yes
			}
			return no
		},
		"kindIs": func(kind string, value any) bool {
			if value == nil {
				return kind == "invalid"
			}
			return reflect.TypeOf(value).Kind().String() == kind
		},
		"int": func(value any) (int64, error) {
			number, err := strconv.ParseFloat(strings.TrimSpace(fmt.Sprint(value)), 64)
			return int64(number), err
		},
	}
}

func compare(one, other string) error {
	ours, err := objects(one)
	if err != nil {
		return err
	}
	theirs, err := objects(other)
	if err != nil {
		return err
	}
	names := map[string]bool{}
	for name := range ours {
		names[name] = true
	}
	for name := range theirs {
		names[name] = true
	}
	sorted := make([]string, 0, len(names))
	for name := range names {
		sorted = append(sorted, name)
	}
	sort.Strings(sorted)
	different := 0
	for _, name := range sorted {
		a, b := ours[name], theirs[name]
		if reflect.DeepEqual(a, b) {
			continue
		}
		different++
		switch {
		case a == nil:
			fmt.Printf("only in %s: %s\n", other, name)
		case b == nil:
			fmt.Printf("only in %s: %s\n", one, name)
		default:
			fmt.Println(name + ":")
			differences("", a, b)
		}
	}
	if different > 0 {
		return fmt.Errorf("%d of %d objects differ", different, len(sorted))
	}
	fmt.Printf("%d objects are the same\n", len(sorted))
	return nil
}

// differences prints where two values differ.
func differences(path string, a, b any) {
	if reflect.DeepEqual(a, b) {
		return
	}
	left, isMap := a.(map[string]any)
	right, isMapToo := b.(map[string]any)
	if !isMap || !isMapToo {
		fmt.Printf("  %s: %v instead of %v\n", path, b, a)
		return
	}
	for key, value := range left {
		differences(path+"."+key, value, right[key])
	}
	for key, value := range right {
		if _, there := left[key]; !there {
			differences(path+"."+key, nil, value)
		}
	}
}

var documentEnd = regexp.MustCompile(`(?m)^---.*$`)

// objects are those of a file of YAML documents, by what they are called.
func objects(file string) (map[string]map[string]any, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	found := map[string]map[string]any{}
	for _, document := range documentEnd.Split(string(text), -1) {
		var object map[string]any
		if err := yaml.Unmarshal([]byte(document), &object); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		if object == nil {
			continue
		}
		metadata, _ := object["metadata"].(map[string]any)
		name := fmt.Sprintf("%v %v/%v", object["kind"], metadata["namespace"], metadata["name"])
		if found[name] != nil {
			return nil, fmt.Errorf("%s: %s twice", file, name)
		}
		found[name] = object
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("%s has no objects", file)
	}
	return found, nil
}
