// Package web holds the pages that people see: HTML templates, and the script
// and style that build.js bundles into dist/. All of it is embedded into the
// binary that imports this package; nothing is read from disk or fetched from
// another host at run time. dist/ is made by `npm ci && npm run build` here and
// is not kept in git: without it the pages still show, but don't play.
package web

import (
	"embed"
	"html/template"
	"io/fs"
)

//go:embed all:dist
var dist embed.FS

//go:embed templates/*.html
var templates embed.FS

// Assets returns the bundled files, at the root of the file system returned.
func Assets() (fs.FS, error) { return fs.Sub(dist, "dist") }

// Templates returns the parsed pages, by file name. By asset they find the address of a
// bundled file.
func Templates(asset func(name string) string) (*template.Template, error) {
	return template.New("").Funcs(template.FuncMap{"asset": asset}).ParseFS(templates, "templates/*.html")
}
