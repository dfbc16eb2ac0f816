package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// constant is one constant of a Go file and what its comment says.
type constant struct {
	name, value, says string
}

// constants reads the constants of a type from a Go file, in order; "" stands
// for constants without a type. A constant without a comment is an error: the
// comment is what the page consists of.
func constants(path, typed string) ([]constant, error) {
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
	if err != nil {
		return nil, fmt.Errorf("read constants: %w", err)
	}
	var found []constant
	for _, d := range file.Decls {
		decl, ok := d.(*ast.GenDecl)
		if !ok || decl.Tok != token.CONST {
			continue
		}
		for _, s := range decl.Specs {
			spec := s.(*ast.ValueSpec) //nolint:forcetypeassert // what a const declaration consists of
			name := ""
			if t, ok := spec.Type.(*ast.Ident); ok {
				name = t.Name
			}
			if name != typed {
				continue
			}
			c, err := constantOf(spec)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", path, err)
			}
			found = append(found, c)
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("%s has no constants of type %q", path, typed)
	}
	return found, nil
}

func constantOf(spec *ast.ValueSpec) (constant, error) {
	c := constant{name: spec.Names[0].Name, says: oneLine(spec.Comment.Text() + " " + spec.Doc.Text())}
	if c.says == "" {
		return c, fmt.Errorf("%s has no comment", c.name)
	}
	literal, ok := spec.Values[0].(*ast.BasicLit)
	if !ok {
		return c, fmt.Errorf("%s is not a plain value", c.name)
	}
	c.value = literal.Value
	if literal.Kind == token.STRING {
		value, err := strconv.Unquote(literal.Value)
		if err != nil {
			return c, fmt.Errorf("%s: %w", c.name, err)
		}
		c.value = value
	}
	return c, nil
}

// endedStates reads which states State.Ended reports as ended: the constants of
// the first case of its switch.
func endedStates(path string) ([]string, error) {
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
	if err != nil {
		return nil, fmt.Errorf("read states: %w", err)
	}
	var ended []string
	ast.Inspect(file, func(n ast.Node) bool {
		clause, ok := n.(*ast.CaseClause)
		if !ok || len(clause.Body) != 1 {
			return true
		}
		back, ok := clause.Body[0].(*ast.ReturnStmt)
		if !ok || len(back.Results) != 1 {
			return true
		}
		if value, ok := back.Results[0].(*ast.Ident); !ok || value.Name != "true" {
			return true
		}
		for _, e := range clause.List {
			if id, ok := e.(*ast.Ident); ok {
				ended = append(ended, id.Name)
			}
		}
		return true
	})
	if len(ended) == 0 {
		return nil, fmt.Errorf("%s: no case of Ended returns true", path)
	}
	return ended, nil
}

// findings lists the ids of all findings that the Go files of some folders make.
func findings(folders ...string) ([]string, error) {
	var ids []string
	for _, folder := range folders {
		paths, err := filepath.Glob(filepath.Join(folder, "*.go"))
		if err != nil {
			return nil, fmt.Errorf("list Go files of %s: %w", folder, err)
		}
		for _, path := range paths {
			if strings.HasSuffix(path, "_test.go") {
				continue
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
			if err != nil {
				return nil, fmt.Errorf("read findings: %w", err)
			}
			ids = append(ids, findingsIn(file)...)
		}
	}
	if len(ids) == 0 {
		return nil, fmt.Errorf("no findings in %s", strings.Join(folders, ", "))
	}
	slices.Sort(ids)
	return slices.Compact(ids), nil
}

// findingsIn lists what is given as ID: to a literal that has a Severity, or is
// set on a variable's field ID.
func findingsIn(file *ast.File) []string {
	var ids []string
	add := func(e ast.Expr) {
		if literal, ok := e.(*ast.BasicLit); ok && literal.Kind == token.STRING {
			if id, err := strconv.Unquote(literal.Value); err == nil && strings.Contains(id, "-") {
				ids = append(ids, id)
			}
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CompositeLit:
			keys := map[string]ast.Expr{}
			for _, e := range n.Elts {
				if kv, ok := e.(*ast.KeyValueExpr); ok {
					if key, ok := kv.Key.(*ast.Ident); ok {
						keys[key.Name] = kv.Value
					}
				}
			}
			if keys["ID"] != nil && keys["Severity"] != nil {
				add(keys["ID"])
			}
		case *ast.AssignStmt:
			if field, ok := n.Lhs[0].(*ast.SelectorExpr); ok && field.Sel.Name == "ID" {
				add(n.Rhs[0])
			}
		}
		return true
	})
	return ids
}

// mentions fails when a page lacks one of the words, each as `word`.
func mentions(page string, words []string) error {
	text, err := os.ReadFile(page)
	if err != nil {
		return fmt.Errorf("read the page about blocks: %w", err)
	}
	var missing []string
	for _, w := range words {
		if !strings.Contains(string(text), "`"+w+"`") {
			missing = append(missing, w)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("%s does not say what to do about: %s", page, strings.Join(missing, ", "))
	}
	return nil
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
