"""How the reference looks."""

STYLE = """
:root {
  color-scheme: light dark;
  --ink: #1d2733; --faint: #5b6878; --paper: #fdfdfb; --line: #dcdfe4; --tint: #f1f3f5; --mark: #14639e;
}
@media (prefers-color-scheme: dark) {
  :root { --ink: #dde3ea; --faint: #97a3b2; --paper: #14181d; --line: #2d353f; --tint: #1c2229; --mark: #7cb8ee; }
}
* { box-sizing: border-box; }
body { margin: 0; display: flex; font: 16px/1.55 system-ui, sans-serif; color: var(--ink); background: var(--paper); }
nav { position: sticky; top: 0; flex: 0 0 17rem; height: 100vh; overflow-y: auto; padding: 1rem 1.2rem;
  border-right: 1px solid var(--line); font-size: .9rem; }
nav ul { list-style: none; margin: 0; padding: 0; }
nav h3 { margin: 1rem 0 .2rem; color: var(--faint); font-size: .8rem; text-transform: uppercase; }
main { flex: 1; min-width: 0; max-width: 58rem; padding: 1rem 2rem 6rem; }
h2 { margin-top: 3rem; border-bottom: 1px solid var(--line); }
article { margin: 2.5rem 0; scroll-margin-top: 1rem; }
a { color: var(--mark); text-decoration: none; }
a:hover { text-decoration: underline; }
pre { overflow-x: auto; padding: .8rem 1rem; border-radius: 6px; background: var(--tint); }
code { font: .88em/1.5 ui-monospace, monospace; }
table { width: 100%; border-collapse: collapse; font-size: .92rem; }
th, td { padding: .35rem .6rem .35rem 0; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
em, small, th { color: var(--faint); font-style: normal; font-weight: normal; }
em { font-size: .8rem; }
dt { float: left; clear: left; width: 3.2rem; font-weight: 600; }
dd { margin: 0 0 .3rem 3.2rem; }
.at b { padding: .1rem .5rem; border-radius: 4px; background: var(--tint); font-size: .85rem; }
@media (max-width: 50rem) {
  body { display: block; }
  nav { position: static; width: auto; height: auto; }
  main { padding: 1rem; }
}
"""
