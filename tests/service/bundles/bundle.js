// Bundles packages around one function each, and says what that gives in Node: [{ name, kind, code, expected }].
// stdin: { names: [...] or null for all }, { names: 'tools' } for one service as each tool
// writes it, { names: 'example' } for that of `examples/typescript`, or { names: 'buffer', seed, count } for what calls of Buffer give.
// TZ must be UTC.
'use strict'
const fs = require('fs')
const path = require('path')
const vm = require('vm')
const esbuild = require('esbuild')

async function bundle (source, format) {
  const made = await esbuild.build({
    stdin: { contents: source, resolveDir: path.dirname(process.env.NODE_PATH), sourcefile: 'service.js' },
    bundle: true, format, platform: 'browser', write: false, logLevel: 'silent', define: { 'process.env.NODE_ENV': '"production"' }
  })
  return made.outputFiles[0].text
}

// One service as the tools write it: [{ tool, code }].
async function written () {
  const source = fs.readFileSync(path.join(__dirname, 'service.ts'), 'utf8')
  const ts = require('typescript')
  const byTsc = (module) => ts.transpileModule(source, { compilerOptions: { module, target: ts.ScriptTarget.ES2022, inlineSourceMap: true, inlineSources: true }, fileName: 'service.ts' }).outputText
  const modern = byTsc(ts.ModuleKind.ES2022)
  const rolled = async (format) => {
    const rollup = require('rollup')
    const service = { name: 'service', resolveId: (id) => id, load: () => modern }
    const bundle = await rollup.rollup({ input: 'service.js', plugins: [service], logLevel: 'silent' })
    return (await bundle.generate({ format, exports: 'named' })).output[0].code
  }
  const built = async (format) => {
    const made = await esbuild.transform(source, { loader: 'ts', format, sourcemap: 'inline', sourcefile: 'service.ts' })
    return made.code
  }
  const babel = require('@babel/core').transformSync(source, {
    filename: 'service.ts', configFile: false, babelrc: false,
    presets: [[require.resolve('@babel/preset-env'), { targets: { node: '20' }, modules: 'commonjs' }], require.resolve('@babel/preset-typescript')]
  }).code
  const swc = require('@swc/core').transformSync(source, {
    filename: 'service.ts', swcrc: false, module: { type: 'commonjs' }, jsc: { parser: { syntax: 'typescript' }, target: 'es2022' }
  }).code
  return [
    { tool: 'tsc', code: byTsc(ts.ModuleKind.CommonJS) }, { tool: 'tsc as a module', code: modern }, { tool: 'swc', code: swc }, { tool: 'Babel', code: babel },
    { tool: 'rollup', code: await rolled('cjs') }, { tool: 'rollup as a module', code: await rolled('es') },
    { tool: 'esbuild', code: await built('cjs') }, { tool: 'esbuild as a module', code: await built('esm') }
  ]
}

// The service of `examples/typescript`, bundled as its `package.json` says, and what TypeScript says of it and of our types.
async function example () {
  const ts = require('typescript')
  const folder = path.join(__dirname, '../../../examples/typescript')
  const types = path.join(__dirname, '../../../node/engine/types/libvms.d.ts')
  const made = await esbuild.build({
    entryPoints: [path.join(folder, 'service.ts')], bundle: true, format: 'esm', sourcemap: 'inline', write: false, nodePaths: [process.env.NODE_PATH], outfile: 'service.mjs', logLevel: 'silent'
  })
  const { compilerOptions } = JSON.parse(fs.readFileSync(path.join(folder, 'tsconfig.json'), 'utf8'))
  const { options } = ts.convertCompilerOptionsFromJson({ ...compilerOptions, skipLibCheck: false, paths: { zod: [path.join(process.env.NODE_PATH, 'zod')] } }, folder)
  const program = ts.createProgram([path.join(folder, 'service.ts'), types], options)
  const ours = (one) => one.file === undefined || !one.file.fileName.includes('node_modules')
  const said = ts.getPreEmitDiagnostics(program).filter(ours).map((one) => `${one.file?.fileName}: ${ts.flattenDiagnosticMessageText(one.messageText, ' ')}`)
  return [{ code: made.outputFiles[0].text, said }]
}

async function main () {
  const { names, seed, count } = JSON.parse(fs.readFileSync(0, 'utf8'))
  if (names === 'buffer') return process.stdout.write(JSON.stringify(require('./buffer.js').run(seed, count)))
  if (names === 'example') return process.stdout.write(JSON.stringify(await example()))
  if (names === 'tools') return process.stdout.write(JSON.stringify(await written()))
  const made = []
  for (const [name, kind, source] of require('./cases.js')) {
    if (names !== null && !names.includes(name)) continue
    try {
      const code = await bundle(source, 'cjs')
      const module = { exports: {} }
      vm.runInThisContext(`(function (module, exports, self) {${code}\n})`)(module, module.exports, globalThis)
      const given = await module.exports.run()
      made.push({ name, kind, code, expected: JSON.parse(JSON.stringify(given)) })
    } catch (error) {
      made.push({ name, kind, failed: String(error && error.stack) })
    }
  }
  process.stdout.write(JSON.stringify(made))
}
main()
