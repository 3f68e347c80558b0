"""The look of the report's page."""

CSS = """
:root {
  --ground: #f6f7f9; --paper: #fff; --ink: #1b1f24; --quiet: #626b76; --line: #dfe3e8;
  --ok: #16794a; --ok-soft: #e2f4ea; --failed: #b3261e; --failed-soft: #fbe5e3;
  --warning: #8a5a00; --warning-soft: #fdf0d5; --skipped: #5b6570; --skipped-soft: #eceff2; --accent: #4c7a00;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #111417; --paper: #1a1e23; --ink: #e6e9ec; --quiet: #98a2ad; --line: #2e353c;
    --ok: #5fd198; --ok-soft: #123524; --failed: #ff8a80; --failed-soft: #43191a;
    --warning: #f2c063; --warning-soft: #3a2c0c; --skipped: #a5afba; --skipped-soft: #272d34; --accent: #8fce1b;
  }
}
* { box-sizing: border-box }
body { margin: 0; background: var(--ground); color: var(--ink); font: 15px/1.5 system-ui, sans-serif }
main { max-width: 1120px; margin: 0 auto; padding: 24px 20px 64px }
h1 { margin: 0; font-size: 26px; line-height: 1.2 }
h2 { margin: 36px 0 12px; font-size: 18px } h3 { margin: 0; font-size: 16px }
p { margin: 2px 0 } a { color: inherit } code { font: 13px/1.5 ui-monospace, monospace }
.quiet { color: var(--quiet); font-size: 13px }
header { display: flex; gap: 18px; align-items: center; padding: 20px 22px; border-radius: 14px;
  background: var(--paper); border: 1px solid var(--line); border-left: 6px solid var(--mark) }
.sign { width: 52px; height: 52px; flex: none; border-radius: 50%; display: grid; place-items: center; font-size: 26px;
  font-weight: 700; color: var(--mark); background: var(--soft) }
.ok { --mark: var(--ok); --soft: var(--ok-soft) } .failed { --mark: var(--failed); --soft: var(--failed-soft) }
.warning { --mark: var(--warning); --soft: var(--warning-soft) }
.skipped { --mark: var(--skipped); --soft: var(--skipped-soft) }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(140px, 1fr)); gap: 12px; margin-top: 16px }
.tile { padding: 14px 16px; border-radius: 12px; background: var(--paper); border: 1px solid var(--line) }
.tile strong { display: block; font-size: 26px; line-height: 1.2; color: var(--mark, inherit) }
.tile span { color: var(--quiet); font-size: 13px }
.hosts { display: grid; grid-template-columns: repeat(auto-fill, minmax(320px, 1fr)); gap: 14px; align-items: start }
.host { padding: 16px; border-radius: 12px; background: var(--paper); border: 1px solid var(--line) }
.group { display: inline-block; margin: 2px 4px 2px 0; padding: 0 7px; border-radius: 5px;
  border: 1px solid var(--line) }
.gpus { display: grid; grid-template-columns: repeat(auto-fill, minmax(135px, 1fr)); gap: 8px; margin-top: 10px }
.gpu { padding: 9px 11px; border-radius: 9px; font-size: 13px; border: 1px solid var(--line);
  border-left: 4px solid var(--accent) }
.gpu.failed { grid-column: 1 / -1; border-color: var(--mark); background: var(--soft); color: var(--mark) }
.gpu meter { width: 100%; height: 10px; display: block; margin: 6px 0 2px }
.gpu .quiet { display: block; font-size: 12px }
.slices { display: flex; flex-wrap: wrap; gap: 2px; margin: 5px 0 }
.slices span { flex: 1 0 auto; padding: 1px 5px; border-radius: 4px; text-align: center; font-size: 11px;
  background: var(--ok-soft); color: var(--ok) }
.pill { display: inline-block; padding: 1px 9px; border-radius: 99px; font-size: 12px; font-weight: 600;
  white-space: nowrap; color: var(--mark); background: var(--soft) }
details { margin-bottom: 10px; border-radius: 12px; background: var(--paper); border: 1px solid var(--line);
  overflow: hidden }
summary { padding: 12px 16px; cursor: pointer; font-weight: 600 } summary .quiet { font-weight: 400; margin-left: 6px }
.scroll { overflow-x: auto } table { width: 100%; border-collapse: collapse }
th, td { padding: 8px 16px; text-align: left; vertical-align: top; border-top: 1px solid var(--line) }
thead th { color: var(--quiet); font-size: 12px; font-weight: 600 } td { overflow-wrap: anywhere }
.remedy { margin-top: 5px; padding: 6px 10px; border-radius: 7px; background: var(--skipped-soft) }
.about { display: grid; grid-template-columns: repeat(auto-fit, minmax(320px, 1fr)); gap: 14px }
.about table { background: var(--paper); border: 1px solid var(--line); border-radius: 12px }
.about th { white-space: nowrap }
@media print { body { background: none } details { break-inside: avoid } }
"""
