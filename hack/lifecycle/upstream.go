package main

import (
	"bytes"
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// gvk names an API.
type gvk struct{ group, version, kind string }

// life is what one release says about an API. Minors are of Kubernetes 1.x; 0 is
// for what is not said.
type life struct {
	stated                         bool // by lifecycle methods
	introduced, deprecated, remove int
	replacement                    gvk
	clusterScoped                  bool
}

// row is what all releases together say.
type row struct {
	gvk
	life
}

// withoutNamespace finds the types that are marked as belonging to no namespace.
var withoutNamespace = regexp.MustCompile(`(?m)^//\s*\+genclient:nonNamespaced\n(?:(?://.*)?\n)*type (\w+) struct`)

// versionFolder is how a package of versioned types is called.
var versionFolder = regexp.MustCompile(`/v\d+((alpha|beta)\d+)?$`)

// upstream unites what the releases of one module say.
//
// Of what lifecycle methods say, the newest release that says anything counts:
// upstream moved removals. What they do not say is told by when a type came and
// went: it went at the latest when its Go type did, and a type without methods
// came with the first release that has it. Of the oldest release that is read it
// cannot be told when its types came.
func upstream(releases []release) ([]row, error) {
	type span struct{ first, last int }
	said := map[gvk]life{}
	seen := map[gvk]span{}
	for _, r := range releases {
		minor := numbers(r.version)[1]
		apis, err := readTypes(&r)
		if err != nil {
			return nil, err
		}
		for api, l := range apis {
			if l.stated || !said[api].stated {
				said[api] = l
			}
			s, found := seen[api]
			if !found {
				s.first = minor
			}
			s.last = minor
			seen[api] = s
		}
	}
	oldest := numbers(releases[0].version)[1]
	var rows []row
	for api, l := range said {
		s := seen[api]
		if l.introduced == 0 && s.first > oldest {
			l.introduced = s.first
		}
		if gone := after(releases, s.last); gone > 0 && (l.remove == 0 || gone < l.remove) {
			l.remove = gone
		}
		if l.deprecated > l.remove && l.remove > 0 {
			l.deprecated = l.remove
		}
		rows = append(rows, row{api, l})
	}
	slices.SortFunc(rows, compareRows)
	return rows, nil
}

func compareRows(a, b row) int {
	return cmp.Or(cmp.Compare(a.group, b.group), cmp.Compare(a.version, b.version), cmp.Compare(a.kind, b.kind))
}

// after is the minor of the first release that is newer than minor; 0 if none is.
func after(releases []release, minor int) int {
	for _, r := range releases {
		if m := numbers(r.version)[1]; m > minor {
			return m
		}
	}
	return 0
}

// readTypes reads the APIs that one release of a module has types of.
func readTypes(r *release) (map[gvk]life, error) {
	files, err := r.files(func(file string) bool {
		if !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") || strings.HasPrefix(file, "examples/") {
			return false
		}
		base := path.Base(file)
		return slices.Contains([]string{"register.go", "types.go", "zz_generated.prerelease-lifecycle.go"}, base) && versionFolder.MatchString("/"+path.Dir(file))
	})
	if err != nil {
		return nil, err
	}
	folders := map[string]bool{}
	for file := range files {
		folders[path.Dir(file)] = true
	}
	found := map[gvk]life{}
	for _, folder := range slices.Sorted(maps.Keys(folders)) {
		group, kinds, err := readRegister(files[folder+"/register.go"])
		if err != nil {
			return nil, fmt.Errorf("%s %s: %s/register.go: %w", r.module, r.version, folder, err)
		}
		lives, err := readLives(files[folder+"/zz_generated.prerelease-lifecycle.go"])
		if err != nil {
			return nil, fmt.Errorf("%s %s: lifecycle methods of %s: %w", r.module, r.version, folder, err)
		}
		for _, kind := range kinds {
			if _, stated := lives[kind]; !stated {
				lives[kind] = life{}
			}
		}
		for _, kind := range withoutNamespace.FindAllSubmatch(files[folder+"/types.go"], -1) {
			if l, known := lives[string(kind[1])]; known {
				l.clusterScoped = true
				lives[string(kind[1])] = l
			}
		}
		for kind, l := range lives {
			if !strings.HasSuffix(kind, "List") && !strings.HasSuffix(kind, "Options") {
				found[gvk{group, path.Base(folder), kind}] = l
			}
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("%s %s: no types found: its folders are not what they were", r.module, r.version)
	}
	return found, nil
}

// readRegister reads a package's group and the types that it registers.
func readRegister(text []byte) (group string, kinds []string, err error) {
	if text == nil {
		return "", nil, fmt.Errorf("is missing")
	}
	file, err := parser.ParseFile(token.NewFileSet(), "register.go", text, 0)
	if err != nil {
		return "", nil, err
	}
	named := false
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ValueSpec:
			if n.Names[0].Name == "GroupName" && len(n.Values) == 1 {
				if literal, ok := n.Values[0].(*ast.BasicLit); ok {
					group, _ = strconv.Unquote(literal.Value)
					named = true
				}
			}
		case *ast.CallExpr:
			called, ok := n.Fun.(*ast.SelectorExpr)
			if !ok || called.Sel.Name != "AddKnownTypes" || len(n.Args) == 0 {
				return true
			}
			for _, argument := range n.Args[1:] {
				if pointer, ok := argument.(*ast.UnaryExpr); ok {
					if literal, ok := pointer.X.(*ast.CompositeLit); ok {
						if name, ok := literal.Type.(*ast.Ident); ok {
							kinds = append(kinds, name.Name)
						}
					}
				}
			}
		}
		return true
	})
	if !named {
		return "", nil, fmt.Errorf("has no constant GroupName")
	}
	return group, kinds, nil
}

// readLives reads generated lifecycle methods.
func readLives(text []byte) (map[string]life, error) {
	lives := map[string]life{}
	if len(bytes.TrimSpace(text)) == 0 {
		return lives, nil
	}
	file, err := parser.ParseFile(token.NewFileSet(), "lifecycle.go", text, 0)
	if err != nil {
		return nil, err
	}
	for _, d := range file.Decls {
		method, ok := d.(*ast.FuncDecl)
		if !ok || method.Recv == nil || len(method.Body.List) != 1 {
			continue
		}
		pointer, ok := method.Recv.List[0].Type.(*ast.StarExpr)
		if !ok {
			continue
		}
		kind := pointer.X.(*ast.Ident).Name
		answer, ok := method.Body.List[0].(*ast.ReturnStmt)
		if !ok {
			return nil, fmt.Errorf("%s.%s does more than to return", kind, method.Name.Name)
		}
		l := lives[kind]
		l.stated = true
		switch method.Name.Name {
		case "APILifecycleIntroduced":
			l.introduced, err = minor(answer)
		case "APILifecycleDeprecated":
			l.deprecated, err = minor(answer)
		case "APILifecycleRemoved":
			l.remove, err = minor(answer)
		case "APILifecycleReplacement":
			l.replacement, err = replacement(answer)
		default:
			err = fmt.Errorf("is a method that hack/lifecycle does not know")
		}
		if err != nil {
			return nil, fmt.Errorf("%s.%s %w", kind, method.Name.Name, err)
		}
		lives[kind] = l
	}
	return lives, nil
}

// minor reads "return 1, 22".
func minor(answer *ast.ReturnStmt) (int, error) {
	var values []int
	for _, e := range answer.Results {
		literal, ok := e.(*ast.BasicLit)
		if !ok {
			return 0, fmt.Errorf("returns no number")
		}
		n, err := strconv.Atoi(literal.Value)
		if err != nil {
			return 0, fmt.Errorf("returns no number: %w", err)
		}
		values = append(values, n)
	}
	if len(values) != 2 || values[0] != 1 {
		return 0, fmt.Errorf("returns %v, and the table holds minors of Kubernetes 1", values)
	}
	return values[1], nil
}

// replacement reads "return schema.GroupVersionKind{Group: …, Version: …, Kind: …}".
func replacement(answer *ast.ReturnStmt) (gvk, error) {
	literal, ok := answer.Results[0].(*ast.CompositeLit)
	if !ok {
		return gvk{}, fmt.Errorf("returns no literal")
	}
	var r gvk
	for _, e := range literal.Elts {
		pair, ok := e.(*ast.KeyValueExpr)
		if !ok {
			return gvk{}, fmt.Errorf("returns fields without names")
		}
		value, ok := pair.Value.(*ast.BasicLit)
		if !ok {
			return gvk{}, fmt.Errorf("returns no text")
		}
		text, err := strconv.Unquote(value.Value)
		if err != nil {
			return gvk{}, fmt.Errorf("returns no text: %w", err)
		}
		switch pair.Key.(*ast.Ident).Name {
		case "Group":
			r.group = text
		case "Version":
			r.version = text
		case "Kind":
			r.kind = strings.TrimSuffix(text, "List") // upstream once names the list
		}
	}
	return r, nil
}
