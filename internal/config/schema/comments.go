package schema

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
)

// read returns the comments of the structures and fields in a folder of Go
// source, by "Type" and "Type.Field", each as one line.
func read(folder string) (map[string]string, error) {
	paths, err := filepath.Glob(filepath.Join(folder, "*.go"))
	if err != nil {
		return nil, fmt.Errorf("list Go files of %s: %w", folder, err)
	}
	res := map[string]string{}
	for _, path := range paths {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
		if err != nil {
			return nil, fmt.Errorf("read comments: %w", err)
		}
		for _, d := range file.Decls {
			decl, ok := d.(*ast.GenDecl)
			if !ok || decl.Tok != token.TYPE {
				continue
			}
			for _, spec := range decl.Specs {
				if t, ok := spec.(*ast.TypeSpec); ok {
					res[t.Name.Name] = line(decl.Doc)
					fields(t, res)
				}
			}
		}
	}
	if len(res) == 0 {
		return nil, fmt.Errorf("no types in %s", folder)
	}
	return res, nil
}

// fields adds the comments of a structure's fields.
func fields(t *ast.TypeSpec, res map[string]string) {
	s, ok := t.Type.(*ast.StructType)
	if !ok {
		return
	}
	for _, f := range s.Fields.List {
		for _, name := range f.Names {
			res[t.Name.Name+"."+name.Name] = line(f.Doc)
		}
	}
}

// line joins the lines of a comment.
func line(c *ast.CommentGroup) string {
	return strings.Join(strings.Fields(c.Text()), " ")
}
