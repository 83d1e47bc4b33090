package track_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/track"
)

const base = "https://click.acme.com"

// written writes a page with links as "T<index>".
func written(source string, o track.Options) (out string, urls []string) {
	o.Base = base
	out = track.Read(source, o).Write(func(i int, url string) string {
		urls = append(urls, url)
		return fmt.Sprintf("T%d", i)
	}, "PICTURE")
	return out, urls
}

const pixel = `<img src="PICTURE" alt="" width="1" height="1" border="0" style="width:1px;height:1px;border:0">`

func TestPage_Links(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]struct {
		out  string
		urls []string
	}{
		`<a href="https://x.yz/">x</a>`:                     {`<a href="T0">x</a>`, []string{"https://x.yz/"}},
		`<A HREF='HTTP://x.yz'>x</A>`:                       {`<A HREF='T0'>x</A>`, []string{"HTTP://x.yz"}},
		`<a href=http://x.yz/a?b=c>x</a>`:                   {`<a href=T0>x</a>`, []string{"http://x.yz/a?b=c"}},
		`<a  class=b  href = "http://x.yz"  id=c >x</a>`:    {`<a  class=b  href = "T0"  id=c >x</a>`, []string{"http://x.yz"}},
		"<a\n\thref=\"\n http://x.yz/a\n b \"\n>x":          {"<a\n\thref=\"T0\"\n>x", []string{"http://x.yz/a b"}},
		`<area shape=rect href="http://x.yz"/>`:             {`<area shape=rect href="T0"/>`, []string{"http://x.yz"}},
		`<a href="http://x.yz?a=1&amp;b=2&copy=3&lt;">x`:    {`<a href="T0">x`, []string{"http://x.yz?a=1&b=2&copy=3<"}},
		`<a href="&#104;ttp://x.yz/&#x26;">x`:               {`<a href="T0">x`, []string{"http://x.yz/&"}},
		`<a href="http://a.b">1</a><a href="http://a.b">2`:  {`<a href="T0">1</a><a href="T1">2`, []string{"http://a.b", "http://a.b"}},
		`<a href="http://a.b" href="http://c.d">x`:          {`<a href="T0" href="http://c.d">x`, []string{"http://a.b"}},
		`<a title="> href=http://n.o" href="http://x.yz">x`: {`<a title="> href=http://n.o" href="T0">x`, []string{"http://x.yz"}},
		`<a/href="http://x.yz"/>x`:                          {`<a/href="T0"/>x`, []string{"http://x.yz"}},
		`<a href="http://ü.de/ß">x`:                         {`<a href="T0">x`, []string{"http://ü.de/ß"}},
		`<a href="http://x.yz" data-track="on">x`:           {`<a href="T0" data-track="on">x`, []string{"http://x.yz"}},
		`<a data-track="off" href="http://x.yz">x`:          {`<a href="http://x.yz">x`, nil},
		`<a href="http://x.yz" Data-Track=OFF>x`:            {`<a href="http://x.yz">x`, nil},
	} {
		out, urls := written(source, track.Options{Clicks: true})
		require.Equal(t, want.out+pixel, out, source)
		require.Equal(t, want.urls, urls, source)
	}
}

func TestPage_LeavesAlone(t *testing.T) {
	t.Parallel()
	for _, source := range []string{
		``, `plain text & more`, `<a>x</a>`, `<a href>x</a>`, `<a href="">x</a>`, `<a name="http://x.yz">x</a>`,
		`<a href="mailto:a@b.cd">x</a>`, `<a href="tel:+1">x</a>`, `<a href="#top">x</a>`, `<a href="/a">x</a>`, `<a href="a.html">x</a>`,
		`<a href="//x.yz/">x</a>`, `<a href="javascript:location='http://x.yz'">x</a>`, `<a href="ftp://x.yz">x</a>`, `<a href="cid:logo">x</a>`,
		`<a href="http://">x</a>`, `<a href="http:///x">x</a>`, `<a href="http:x.yz">x</a>`, `<a href="https:\\x.yz">x</a>`,
		"<a href=\"http://x.yz/\x01a\">x</a>", "<a href=\"http://x.yz/\xff\">x</a>",
		`<a href="http://x.yz/` + strings.Repeat("x", 2048) + `">x</a>`,
		`<a href="` + base + `/t/c/token">tracked already</a>`,
		`<a href="https://x.yz/end?a=1&amp;b=2">unsubscribe</a>`, `<a data-unsubscribe href="https://x.yz/">x</a>`,
		`<link href="http://x.yz"><img src="http://x.yz"><form action="http://x.yz"><base href="http://x.yz">`,
		`<!-- <a href="http://x.yz"> -->`, `<!--[if mso]><a href="http://x.yz">x</a><![endif]-->`, `<style>a { b: "<a href='http://x.yz'>" }</style>`,
		`<script>"<a href='http://x.yz'>"</script>`, `<title><a href="http://x.yz"></title>`, `<textarea><a href="http://x.yz"></textarea>`,
		`<abbr href="http://x.yz">x</abbr>`, `<svg:a href="http://x.yz">`, "\x00<b>\r\n</b>\xff&nbsp;",
	} {
		out, urls := written(source, track.Options{Clicks: true, Keep: []string{"https://x.yz/end?a=1&b=2"}})
		require.Equal(t, source+pixel, out)
		require.Empty(t, urls)
	}
}

func TestPage_DownlevelRevealedIsSeen(t *testing.T) {
	t.Parallel()
	out, _ := written(`<!--[if !mso]><!--><a href="http://x.yz">x</a><!--<![endif]-->`, track.Options{Clicks: true})
	require.Equal(t, `<!--[if !mso]><!--><a href="T0">x</a><!--<![endif]-->`+pixel, out)
}

func TestPage_Picture(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]string{
		`<html><body><p>x</p></body></html>`:             `<html><body><p>x</p>` + pixel + `</body></html>`,
		`<BODY>x</BODY >`:                                `<BODY>x` + pixel + `</BODY >`,
		`<p>x`:                                           `<p>x` + pixel,
		`<p>x<a href="http://x.yz"`:                      `<p>x` + pixel + `<a href="http://x.yz"`,
		`a</body>b</body>c`:                              `a</body>b` + pixel + `</body>c`,
		`<body>x<!-- </body> -->`:                        `<body>x<!-- </body> -->` + pixel,
		`<body><a href="http://x.yz">x</a></body>`:       `<body><a href="http://x.yz">x</a>` + pixel + `</body>`,
		`</body><a href="http://x.yz" data-track="off">`: pixel + `</body><a href="http://x.yz">`,
	} {
		out, urls := written(source, track.Options{})
		require.Equal(t, want, out, source)
		require.Empty(t, urls, "only opens are tracked")
	}
	page := track.Read(`<body><a href="http://x.yz">x</a></body>`, track.Options{Clicks: true})
	require.Equal(t, `<body><a href="T">x</a></body>`, page.Write(func(int, string) string { return "T" }, ""), "only clicks are tracked")
}

// What was written is not tracked again, and is the same however often it is written.
func TestPage_Personal(t *testing.T) {
	t.Parallel()
	signer, all := keys.Of("acme-corp", 7), track.Choice{Opens: true, Clicks: true, Base: base}
	source := `<body><a href="http://x.yz/?a&amp;b">x</a></body>`
	once := track.Read(source, track.Options{Clicks: true, Base: base}).Personal(signer, all, ada)
	require.Equal(t, once, track.Read(source, track.Options{Clicks: true, Base: base}).Personal(signer, all, ada))
	require.Equal(t, once, track.Read(once, track.Options{Clicks: true, Base: base}).Personal(signer, all, ada))
	require.Contains(t, once, `<a href="`+base+`/t/c/`+signer.Click(ada, 0, "http://x.yz/?a&b")+`">`)
	require.Contains(t, once, `<img src="`+base+`/t/o/`+signer.Open(ada)+`.gif"`)
	require.NotContains(t, track.Read(source, track.Options{}).Personal(signer, track.Choice{Clicks: true, Base: base}, ada), "<img")
}

func FuzzPage(f *testing.F) {
	for _, s := range []string{
		`<body><a href="http://x.yz/?a&amp;b" data-track=off>x</a><area href=https://a.b></body>`, `<a href='http://a.b' href=http://c.d>`,
		"<a\x00href=http://x.yz>", "<!--[if mso]><a href=http://x.yz>", "<a href=\"http://x.yz\" =a=b c = d>", "<plaintext><a href=http://x.yz>", "<a =\"\" href=http://x.yz/>",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, source string) {
		// With the addresses themselves put back, and no picture, what is written is the source.
		page := track.Read(source, track.Options{Clicks: true, Base: base})
		n := 0
		out := page.Write(func(i int, _ string) string { n++; return fmt.Sprintf("\x00%d\x00", i) }, "\x00P\x00")
		rest := source
		for i, part := range strings.Split(out, "\x00") {
			if strings.Contains(source, "\x00") || strings.Contains(strings.ToLower(source), "data-track") {
				break
			}
			if i%2 == 1 { // a link, or the picture
				continue
			}
			part = strings.TrimSuffix(part, `<img src="`)
			part = strings.TrimPrefix(part, strings.TrimPrefix(pixel, `<img src="PICTURE`))
			at := strings.Index(rest, part)
			require.GreaterOrEqual(t, at, 0, "%q is not in %q", part, rest)
			rest = rest[at+len(part):]
		}
		if n == 0 && !strings.Contains(strings.ToLower(source), "data-track") {
			require.Equal(t, source, page.Write(nil, ""))
		}
		once := page.Personal(keys.Of("a", 1), track.Choice{Opens: true, Clicks: true, Base: base}, ada)
		again := track.Read(once, track.Options{Clicks: true, Base: base}).Personal(keys.Of("a", 1), track.Choice{Opens: true, Clicks: true, Base: base}, ada)
		if !strings.Contains(strings.ToLower(source), "data-track") { // taken away, it may uncover what looks like another
			require.Equal(t, once, again)
		}
	})
}

func BenchmarkPage(b *testing.B) {
	var html strings.Builder
	html.WriteString("<html><body>")
	for i := range 10 {
		fmt.Fprintf(&html, `<table><tr><td style="padding:4px">%s<a class="b" href="https://shop.acme.com/p/%d?utm_source=mail&amp;x=%d">go</a></td></tr></table>`,
			strings.Repeat("<p style=\"color:#333\">Lorem ipsum dolor sit amet.</p>\n", 36), i, i)
	}
	html.WriteString("</body></html>")
	source, all := html.String(), track.Choice{Opens: true, Clicks: true, Base: base}
	b.SetBytes(int64(len(source)))
	b.ReportAllocs()
	for b.Loop() {
		_ = track.Read(source, track.Options{Clicks: true, Base: base}).Personal(keys.Of("acme-corp", 7), all, ada)
	}
}
