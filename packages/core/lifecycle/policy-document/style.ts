/** The look of the HTML document, on a screen and on A4. */
export const DOCUMENT_STYLE = `
:root{--ink:#1a1f24;--soft:#5a6570;--line:#c9d0d6;--head:#eef2f5;--mark:#0b4f6c;--warn:#8a1c1c}
*{box-sizing:border-box}
html{font:10.5pt/1.5 "Source Sans 3","Segoe UI","Liberation Sans",Arial,sans-serif;color:var(--ink);background:#fff}
body{max-width:60rem;margin:0 auto;padding:2.5rem 1.5rem}
header{border-bottom:3px solid var(--mark);margin-bottom:1.5rem}
h1{font-size:1.75rem;line-height:1.2;margin:0 0 .3rem;color:var(--mark)}
header p,footer p{color:var(--soft);margin:.2rem 0 .8rem}
h2{font-size:1.3rem;margin:2.2rem 0 .7rem;padding-bottom:.2rem;border-bottom:1px solid var(--line);color:var(--mark)}
h3{font-size:1.05rem;margin:1.4rem 0 .4rem}
.n{display:inline-block;min-width:2.4em;color:var(--soft);font-weight:400}
nav ol{list-style:none;margin:0;padding:0;columns:2;column-gap:2rem}
nav li{break-inside:avoid;margin:0;padding:.1rem 0}
nav a{color:inherit;text-decoration:none}
p,li{orphans:3;widows:3;max-width:48rem}
li{margin:.15rem 0}
.warning{border:2px solid var(--warn);color:var(--warn);font-weight:600;padding:.6rem .9rem;background:#fdf3f3;max-width:none}
.table{overflow-x:auto;margin:.7rem 0 1.1rem}
table{border-collapse:collapse;width:100%;font-size:.9em;line-height:1.35}
th,td{border:1px solid var(--line);padding:.3rem .5rem;text-align:left;vertical-align:top;overflow-wrap:break-word}
th{background:var(--head);font-weight:600}
td:first-child{min-width:7em}
code{font-family:"Source Code Pro","Liberation Mono",Consolas,monospace;font-size:.88em;overflow-wrap:anywhere}
footer{margin-top:2.5rem;border-top:1px solid var(--line)}
@page{size:A4;margin:20mm 16mm 18mm;
@top-left{font:8pt "Liberation Sans",Arial,sans-serif;color:#5a6570}
@bottom-left{font:8pt "Liberation Sans",Arial,sans-serif;color:#5a6570}
@bottom-right{font:8pt "Liberation Sans",Arial,sans-serif;color:#5a6570;content:counter(page) " / " counter(pages)}}
@media print{
html{font-size:9.5pt}
body{max-width:none;padding:0}
h2,h3,p:has(+.table),p:has(+ul),p:has(+ol){break-after:avoid}
nav{break-inside:avoid}
thead{display:table-header-group}
tr{break-inside:avoid}
.table{overflow:visible}
footer{display:none}
}
`;
